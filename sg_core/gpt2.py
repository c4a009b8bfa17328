"""GPT2: what users hold. Ties weights, tokenizer, sessions and gradients together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sg_core.config import GPT2Config
from sg_core.errors import SettingError, TrainingError
from sg_core.kernels.team import Team, physical_cores
from sg_core.network.batch_pass import BatchPass
from sg_core.network.optimizations import Optimizations
from sg_core.network.parameters import Parameters, initial, stored_order
from sg_core.text.tokenizer import Tokenizer
from sg_core.types import FloatArray

if TYPE_CHECKING:
    from sg_core.inference.session import Session
    from sg_core.network.weights import Weights


class GPT2:
    """A GPT-2: configuration, float32 parameters, and (where its folder has one) a tokenizer.

    Made with another `precision` than "f32", its matrices are held in that one alone: it takes less memory, and only
    writes text, in this precision.
    """

    def __init__(
        self,
        config: GPT2Config,
        parameters: Parameters,
        tokenizer: Tokenizer | None = None,
        name: str = "model",
        *,
        only: Weights | None = None,
    ) -> None:
        if tokenizer is not None and tokenizer.vocab_size > config.vocab_size:
            raise SettingError(
                f"the tokenizer has {tokenizer.vocab_size} tokens, the model's vocab_size is {config.vocab_size}"
            )
        self.config = config
        self.parameters = parameters
        self.tokenizer = tokenizer
        self.name = name
        self.version = 0  # rises when the parameters change
        self._team: Team | None = None
        self._quantized: tuple[int, Weights] | None = None
        self._only = only

    @classmethod
    def from_pretrained(cls, name: str | Path = "tinyshakespeare", precision: str = "f32") -> GPT2:
        """The shipped model, a folder in Hugging Face layout, or a Hub id fetched before (`sg-tui models pull ID`).

        Raises ModelFileError when it isn't there or can't be used, SettingError for a precision that does not fit.
        """
        from sg_core.storage.hub import resolve
        from sg_core.storage.pretrained import read_config, read_weights

        folder = resolve(str(name))
        config = read_config(folder, precision)
        weights = read_weights(folder, config)
        has_tokenizer = any((folder / file).exists() for file in ("vocab.json", "merges.txt", "tokenizer.json"))
        tokenizer = Tokenizer.from_folder(folder) if has_tokenizer else None
        if precision != "f32":
            from sg_core.network.weights import converted

            parameters, only = converted(config, precision, stored_order(config, weights))
            return cls(config, parameters, tokenizer, str(name), only=only)
        parameters = Parameters(config)
        for tensor, array in weights:
            parameters[tensor][...] = array
        return cls(config, parameters, tokenizer, str(name))

    @classmethod
    def random(
        cls,
        config: GPT2Config,
        seed: int = 0,
        tokenizer: Tokenizer | None = None,
        name: str = "random",
        precision: str = "f32",
    ) -> GPT2:
        """GPT-2's initialisation from a seed. Raises SettingError for a precision that does not fit."""
        if precision != "f32":
            from sg_core.network.weights import converted

            parameters, only = converted(config, precision, initial(config, seed))
            return cls(config, parameters, tokenizer, name, only=only)
        parameters = Parameters(config)
        parameters.initialize(seed)
        return cls(config, parameters, tokenizer, name)

    def without_tokenizer(self) -> GPT2:
        """The same model, its memory shared, for token ids alone."""
        model = copy(self)
        model.tokenizer = None
        return model

    def session(
        self, optimizations: Optimizations | None = None, precision: str | None = None, threads: int | None = None
    ) -> Session:
        """One text to generate, with its KV cache. precision None: the model's own. Raises SettingError."""
        from sg_core.inference.session import Session

        return Session(self, optimizations or Optimizations(), precision or self.precision, threads)

    @property
    def precision(self) -> str:
        """The one its matrices are held in; sessions of every precision can be had where that is "f32"."""
        return "f32" if self._only is None else self._only.precision

    def weights(self, precision: str) -> Weights:
        """The matrices in a precision; one other than f32 is made at first use, and made again after training.

        Raises SettingError.
        """
        if self._only is not None:
            if precision != self._only.precision:
                raise SettingError(
                    f"{self.name} was loaded in {self._only.precision} alone; load it in f32 to use {precision}"
                )
            return self._only
        kept = self._quantized
        if kept is None or kept[0] != self.version or kept[1].precision != precision:
            from sg_core.network.weights import quantized

            self._quantized = None  # before the next one takes memory
            kept = self._quantized = (self.version, quantized(self.parameters, precision))
        return kept[1]

    def logits(self, ids: Sequence[int] | npt.ArrayLike) -> FloatArray:
        """(T,) token ids -> (T, V) float32: the scores of every next token, exact (no GELU table)."""
        array = np.ascontiguousarray(self.check_ids(ids), np.int32)
        if not 1 <= array.size <= self.config.n_ctx:
            raise SettingError(f"{array.size} ids were given; the context takes from 1 to {self.config.n_ctx}")
        return BatchPass(self.parameters, 1, array.size, self._shared_team()).logits(array.reshape(1, -1))

    def loss_and_gradients(
        self, inputs: npt.ArrayLike, targets: npt.ArrayLike
    ) -> tuple[float, Mapping[str, FloatArray]]:
        """(B, T), (B, T) ids -> mean nats per token, and its gradient by name, without dropout."""
        shape = np.shape(inputs)
        if len(shape) != 2 or shape != np.shape(targets) or 0 in shape:
            raise SettingError(f"inputs {shape} and targets {np.shape(targets)} must both be (B, T)")
        B, T = shape
        if self.config.n_ctx < T:
            raise SettingError(f"T is {T}; the context takes at most {self.config.n_ctx}")
        x, y = (self.check_ids(ids).astype(np.int32).reshape(B, T) for ids in (inputs, targets))
        gradients = Parameters(self.config)
        batch = BatchPass(self.parameters, B, T, self._shared_team())
        return batch.loss_and_gradients(x, y, gradients), gradients

    def save_pretrained(self, folder: str | Path, dtype: str = "F32") -> None:
        """Write a folder in Hugging Face layout; dtype: F32, F16 or BF16."""
        from sg_core.storage.pretrained import write_model

        self.parameters.require_all()
        write_model(Path(folder), self.config, self.parameters, self.tokenizer, dtype)

    def check_ids(self, ids: Sequence[int] | npt.ArrayLike) -> npt.NDArray[np.int64]:
        """(n,) int64 ids, all in the vocabulary. Raises SettingError, naming the first that isn't."""
        array: npt.NDArray[Any] = np.asarray(ids)
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise SettingError(f"token ids must be whole numbers, not {array.dtype}")
        array = array.astype(np.int64).ravel()
        wrong = (array < 0) | (array >= self.config.vocab_size)
        if wrong.any():
            first = int(array[wrong][0])
            raise SettingError(
                f"token id {first} is not in the vocabulary; ids go from 0 to {self.config.vocab_size - 1}"
            )
        return array

    def not_finite(self) -> list[str]:
        """Names of tensors that hold NaN or infinite numbers (with another precision than f32: held, when loaded)."""
        if self._only is not None:
            return list(self._only.damaged)
        if np.isfinite(self.parameters.arena).all():
            return []
        return [name for name, array in self.parameters.items() if not np.isfinite(array).all()]

    def require_finite(self) -> None:
        """Raises TrainingError naming the first tensors with NaN or infinite numbers."""
        if names := self.not_finite():
            raise TrainingError(f"{len(names)} tensors hold NaN or infinite numbers, first {', '.join(names[:5])}")

    def _shared_team(self) -> Team:
        if self._team is None:
            self._team = Team(physical_cores())
        return self._team

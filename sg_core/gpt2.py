"""GPT2: what users hold. A model with its tokenizer, its folder, and its sessions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from pathlib import Path

import numpy.typing as npt

from sg_core.config import GPT2Config
from sg_core.errors import ModelFileError, SettingError
from sg_core.files import shown
from sg_core.inference.score import Scores, score
from sg_core.inference.session import Session
from sg_core.network.adapters import Adapters
from sg_core.network.interventions import Interventions
from sg_core.network.model import Model
from sg_core.network.narrow import gathered
from sg_core.network.optimizations import Optimizations
from sg_core.network.parameters import Parameters, Piece, initial
from sg_core.network.precisions import Precision
from sg_core.network.weights import Weights, converted
from sg_core.text.tokenizer import Tokenizer
from sg_core.text.tokenizer_files import has_tokenizer
from sg_core.types import Cancelled, Count


class GPT2(Model):
    """A GPT-2: configuration, float32 parameters, and (where its folder has one) a tokenizer.

    Made with another `precision` than "f32", its matrices are held in that one alone: it takes less memory, and has no
    gradients.
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
        if tokenizer is not None:
            tokenizer.fit(config.vocab_size)
        super().__init__(config, parameters, name, only=only)
        self.tokenizer = tokenizer
        self.notes: tuple[str, ...] = ()  # what is worth telling of its folder, a line each
        self._folder: Path | None = None  # where its weights came from

    @classmethod
    def from_pretrained(cls, name: str | Path = "tinyshakespeare", precision: str = "f32") -> GPT2:
        """The shipped model, a folder in Hugging Face layout, or a Hub id fetched before (`sg-tui models pull ID`).

        Raises ModelFileError when it isn't there or can't be used, SettingError for an unknown precision.
        """
        from sg_core.storage.diagnosis import ADAPTER
        from sg_core.storage.hub import resolve
        from sg_core.storage.pretrained import check_weights, read_config, read_weights

        folder = resolve(str(name))
        config = read_config(folder, precision)
        unused = check_weights(folder, config)
        tokenizer = _tokenizer_of(folder, config)
        parameters, only = _held_in(config, precision, read_weights(folder, config))
        model = cls(config, parameters, tokenizer, str(name), only=only)
        model._folder = folder
        if unused:
            model.notes = (f"beside GPT-2 its folder holds other tensors, which are not used: {_listed(unused)}",)
        if (folder / ADAPTER).is_file():
            model.notes += (f"its folder holds an adapter too, which is not used; for that: --adapter {shown(folder)}",)
        return model

    @classmethod
    def random(
        cls,
        config: GPT2Config,
        seed: int = 0,
        tokenizer: Tokenizer | None = None,
        name: str = "random",
        precision: str = "f32",
    ) -> GPT2:
        """GPT-2's initialisation from a seed. Raises SettingError for an unknown precision."""
        parameters, only = _held_in(config, precision, initial(config, seed))
        return cls(config, parameters, tokenizer, name, only=only)

    def hold_one_precision(self) -> None:
        """From now on another precision is read from the folder when it is asked for, and takes the place of this one.

        Raises SettingError for a model that was not read from one.
        """
        folder = self._folder
        if folder is None:
            raise SettingError(f"{self.name} was not read from a folder; save it, and load that")

        def read(precision: str) -> tuple[Parameters, Weights | None]:
            from sg_core.storage.pretrained import read_config, read_weights

            if read_config(folder, precision) != self.config:
                raise ModelFileError(f"{shown(folder)} holds another model now; load it again")
            return _held_in(self.config, precision, read_weights(folder, self.config))

        self._read_anew = read

    def load_adapter(self, folder: str | Path, scale: float = 1.0) -> None:
        """Put a LoRA adapter, a folder as PEFT saves it or a run's name, on top of those that act.

        scale: how much of it. What is worth telling of it joins `notes`. Raises ModelFileError or SettingError.
        """
        from sg_core.storage.peft_file import adapter_folder, read_adapter

        adapter, notes = read_adapter(adapter_folder(str(folder)), self.config)
        self.adapters = self.adapters.with_(adapter, scale)
        self.notes += tuple(f"the adapter {shown(folder)}: {note}" for note in notes)

    def load_adapters(self, references: Sequence[str]) -> None:
        """As `load_adapter`, in their order; each is FOLDER or FOLDER:SCALE."""
        from sg_core.storage.peft_file import parse_reference

        for folder, scale in [parse_reference(text) for text in references]:
            self.load_adapter(folder, scale)

    def merge_adapters(self) -> None:
        """Add the adapters to the weights, which then need none. Raises SettingError for reduced weights."""
        self.parameters.require_all()
        adapters, self.adapters = self.adapters, Adapters()
        for adapter, scale in adapters.stack:
            adapter.add_to(self.parameters, scale * adapters.amount)
        self.version += 1

    def require_tokenizer(self) -> Tokenizer:
        """The tokenizer. Raises ModelFileError for a model whose folder has none."""
        if self.tokenizer is None:
            raise ModelFileError(
                f"{shown(self.name)} has no tokenizer files, so it can't read or write a text; copy vocab.json and "
                "merges.txt, or tokenizer.json, from where its weights came from"
            )
        return self.tokenizer

    def without_tokenizer(self) -> GPT2:
        """The same model, its memory shared, for token ids alone."""
        model = copy(self)
        model.tokenizer = None
        return model

    def session(
        self, optimizations: Optimizations | None = None, precision: str | None = None, threads: int | None = None
    ) -> Session:
        """One text to generate, with its KV cache. precision None: the model's own. Raises SettingError."""
        return Session(self, self.tokenizer, optimizations or Optimizations(), precision or self.precision, threads)

    def score(
        self,
        text: str | Sequence[int] | npt.ArrayLike,
        special: bool = False,
        precision: str | None = None,
        interventions: Interventions | None = None,
        progress: Count | None = None,
        cancelled: Cancelled | None = None,
        overlap: int | None = None,
    ) -> Scores:
        """How likely each token of a text, or of ids (T,), is after those before it, exact (no GELU table).

        special: special tokens in a text, such as "<|endoftext|>", are ids. precision None: the model's own. Texts of
        any length are seen in windows of n_ctx tokens, `overlap` of which they share with the window before (None:
        64, or half a small window; with more, each token is seen with more before it, slower); positions of
        interventions count from a window's beginning. progress(tokens done, in all) is called and cancelled() asked
        between two windows; the scores then end there. Raises SettingError.
        """
        return score(self, self.tokenizer, text, special, precision, interventions, progress, cancelled, overlap)

    def save_pretrained(self, folder: str | Path, dtype: str = "F32") -> None:
        """Write a folder in Hugging Face layout; dtype: F32, F16 or BF16. Raises SettingError or ModelFileError."""
        from sg_core.storage.pretrained import write_model

        self.parameters.require_all()
        if self.adapters:
            raise SettingError("adapters act beside the weights; merge them first, or take them away")
        whole = self.parameters.in_float32()
        parameters = {name: whole.view(name) for name in whole}
        write_model(Path(folder), self.config, parameters, self.tokenizer, dtype)


def _held_in(config: GPT2Config, precision: str, pieces: Iterable[Piece]) -> tuple[Parameters, Weights | None]:
    """What a model holds of its weights: all parameters, or lean ones and the matrices in a precision."""
    if Precision.named(precision).reduced:
        return converted(config, precision, pieces)
    return gathered(config, pieces), None


def _tokenizer_of(folder: Path, config: GPT2Config) -> Tokenizer | None:
    if not has_tokenizer(folder):
        return None
    tokenizer = Tokenizer.from_folder(folder)
    try:
        tokenizer.fit(config.vocab_size)
    except SettingError as problem:  # what a caller has set together; here it is a fault of the folder
        raise ModelFileError(f"{shown(folder)}: {problem}") from problem
    return tokenizer


def _listed(names: Sequence[str]) -> str:
    """The first names, as they may stand in a message."""
    return ", ".join(shown(name)[:80] for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

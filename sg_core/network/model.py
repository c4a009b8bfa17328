"""A GPT-2 as mathematics: configuration and parameters, their precisions, and passes over token ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.config import GPT2Config
from sg_core.errors import SettingError, TrainingError
from sg_core.kernels.fingerprint import fingerprint
from sg_core.kernels.team import Team, physical_cores
from sg_core.network.adapters import Adapters
from sg_core.network.batch_pass import BatchPass
from sg_core.network.interventions import Interventions
from sg_core.network.narrow import NarrowParameters
from sg_core.network.parameters import Parameters
from sg_core.network.precisions import Precision
from sg_core.network.probes import Probes
from sg_core.network.weights import Weights, quantized
from sg_core.network.window import Window
from sg_core.types import FloatArray

Ids = Sequence[int] | Sequence[Sequence[int]] | npt.ArrayLike
IntArray = npt.NDArray[np.int32]


class Model:
    """Configuration and float32 parameters; knows no text, no session and no files.

    With `only`, its matrices are held in another precision alone: it takes less memory, and has no gradients. A model
    that is read anew (`_read_anew`) for another precision holds one alone, whichever was asked for last.
    Methods that take a `precision` compute in the model's own where it is None. Ids are (T,) or (B, T).
    """

    def __init__(
        self, config: GPT2Config, parameters: Parameters, name: str = "model", *, only: Weights | None = None
    ) -> None:
        self.config = config
        self.parameters = parameters
        self.name = name
        self.version = 0  # rises when the parameters change; see `current_version`
        self._digest: int | None = None
        self._team: Team | None = None
        self._reduced: tuple[int, Weights] | None = None
        self._drafting: tuple[int, Weights] | None = None
        self._only = only
        self._read_anew: Callable[[str], tuple[Parameters, Weights | None]] | None = None
        self._adapters = Adapters()
        self._adapter_changes = 0  # of `version`

    # ------------------------------------------------------------ weights

    @property
    def precision(self) -> str:
        """The one its matrices are held in; every precision can be had where that is "f32"."""
        return "f32" if self._only is None else self._only.precision

    def current_version(self) -> int:
        """`version`, raised if someone who was handed a view of the parameters has edited them since the last call."""
        if self.parameters.handed_out:
            digest = int(fingerprint(self.parameters.arena.view(np.uint32)))
            if digest != self._digest:
                self._digest = digest
                self.version += 1
        return self.version

    def has(self, precision: str) -> bool:
        """Whether the matrices can be had in a precision."""
        return precision == self.precision or self._only is None or self._read_anew is not None

    def weights(self, precision: str) -> Weights:
        """The matrices in a precision; one other than f32 is made at first use, and again when the parameters change.

        In f32 they are those of the parameters, in 16 bits as long as these are narrow.

        Where one alone is held, `parameters` are others afterwards. Raises SettingError, and ModelFileError where
        weights are read anew.
        """
        if self._read_anew is not None and precision != self.precision:
            self.parameters, self._only = self._read_anew(precision)
            self._reduced = self._drafting = None
        if self._only is not None:
            if precision != self._only.precision:
                raise SettingError(
                    f"{self.name} was loaded in {self._only.precision} alone; load it in f32 to use {precision}"
                )
            return self._only
        if narrow := self._narrow(precision):
            return narrow
        version, kept = self.current_version() - self._adapter_changes, self._reduced
        if kept is None or kept[0] != version or kept[1].precision != precision:
            self._reduced = None  # before the next one takes memory
            kept = self._reduced = (version, quantized(self.parameters, precision))
        return kept[1]

    def storage(self, precision: str) -> Precision:
        """How the matrices are stored in a precision that can be had."""
        narrow = self._narrow(precision)
        return narrow.storage if narrow else Precision.named(precision)

    def _narrow(self, precision: str) -> Weights | None:
        """The matrices in 16 bits that are all there is to them, where that is so."""
        if Precision.named(precision).reduced or not isinstance(self.parameters, NarrowParameters):
            return None
        return self.parameters.matrices

    @property
    def adapters(self) -> Adapters:
        """What is added to the weights in every pass. Raises SettingError when set to those of other sizes."""
        return self._adapters

    @adapters.setter
    def adapters(self, adapters: Adapters) -> None:
        for adapter, _ in adapters.stack:
            adapter.require_fitting(self.config)
        self._adapters = adapters
        self.adapters_changed()

    def adapters_changed(self) -> None:
        """Numbers of an adapter are others now: what was computed with it does not count any more."""
        self.version += 1
        self._adapter_changes += 1

    def drafter(self, precision: str) -> str:
        """The precision whose weights write ahead for those of another; "" where no cheaper ones can be had."""
        return Precision.named(precision).drafter if self._only is None else ""

    def draft_weights(self, precision: str) -> Weights:
        """The weights that write ahead for those of a precision, which has a `drafter`; made as in `weights`."""
        name = self.drafter(precision)
        version, kept = self.current_version(), self._drafting
        if kept is None or kept[0] != version or kept[1].precision != name:
            self._drafting = None
            kept = self._drafting = (version, quantized(self.parameters, name))
        return kept[1]

    def not_finite(self) -> list[str]:
        """Names of tensors that hold NaN or infinite numbers (with another precision than f32: held, when loaded)."""
        if self._only is not None:
            return list(self._only.damaged)
        pieces = self.parameters.pieces()
        return list(dict.fromkeys(piece.tensor.name for piece in pieces if not np.isfinite(piece.numbers).all()))

    def require_finite(self) -> None:
        """Raises TrainingError naming the first tensors with NaN or infinite numbers."""
        if names := self.not_finite():
            raise TrainingError(f"{len(names)} tensors hold NaN or infinite numbers, first {', '.join(names[:5])}")

    # ------------------------------------------------------------ passes

    def logits(
        self, ids: Ids, *, precision: str | None = None, interventions: Interventions | None = None
    ) -> FloatArray:
        """(T,) ids -> (T, V), (B, T) -> (B, T, V) float32: the scores of every next token, exact.

        As in a session, but for its GELU table: beside reduced weights keys and values are those that its cache would
        give back. Raises SettingError.
        """
        return self.run_with_cache(ids, (), precision=precision, interventions=interventions)[0]

    def run_with_cache(
        self,
        ids: Ids,
        names: Sequence[str] = ("*",),
        *,
        precision: str | None = None,
        interventions: Interventions | None = None,
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """As `logits`, and what happens inside, by name (see `network.sites`), for the names that are asked for.

        * stands for any characters. Arrays are as in `sites`, with T before a position's shape, (NH, T, T) for scores
        and patterns, and B before that where ids are (B, T). Memory is what was asked for. Raises SettingError.
        """
        array = self.check_ids(ids, most=2)
        batch = array.reshape(-1, array.shape[-1])
        B, T = batch.shape
        window = self._window(names, interventions)
        opened = None if window is None else window.open(B, 0, T, T, T)
        logits = self._batch_pass(B, T, precision).logits(batch, opened)
        kept = {} if window is None else window.whole()
        if array.ndim == 1:
            kept = {name: values[0] for name, values in kept.items()}
        return logits.reshape(*array.shape, -1), kept

    def losses(
        self,
        inputs: Ids,
        targets: Ids,
        *,
        precision: str | None = None,
        interventions: Interventions | None = None,
    ) -> npt.NDArray[np.float64]:
        """Nats of each target after its inputs, float64; both (T,) or (B, T). Raises SettingError."""
        x, y = self.check_ids(inputs, most=2), self.check_ids(targets, most=2)
        if x.shape != y.shape:
            raise SettingError(f"inputs {x.shape} and targets {y.shape} must have one shape, (T,) or (B, T)")
        batch = x.reshape(-1, x.shape[-1])
        B, T = batch.shape
        window = self._window((), interventions)
        opened = None if window is None else window.open(B, 0, T, 0, T)
        losses = self._batch_pass(B, T, precision).losses(batch, y.reshape(batch.shape), opened)
        return losses.reshape(x.shape)

    def loss_and_gradients(self, inputs: Ids, targets: Ids) -> tuple[float, Mapping[str, FloatArray]]:
        """(B, T), (B, T) ids -> mean nats per token, and its gradient by name, without dropout. Raises SettingError."""
        shape = np.shape(inputs)
        if len(shape) != 2 or shape != np.shape(targets):
            raise SettingError(f"inputs {shape} and targets {np.shape(targets)} must both be (B, T)")
        x, y = self.check_ids(inputs, most=2), self.check_ids(targets, most=2)
        if self._adapters:
            raise SettingError("the weights have no gradients while adapters act; take these away or merge them")
        gradients = Parameters(self.config)
        batch = BatchPass(self.parameters, x.shape[0], x.shape[1], self._shared_team())
        return batch.loss_and_gradients(x, y, gradients), gradients

    def check_ids(self, ids: Ids, most: int = 1) -> IntArray:
        """Ids as int32, (T,) or, with most=2, (B, T); all in the vocabulary, no row longer than the context.

        Raises SettingError, naming the first that is wrong.
        """
        array = self.known_ids(ids, most)
        if array.size == 0 or array.shape[-1] > self.config.n_ctx:
            count = array.shape[-1] if array.ndim else 0
            raise SettingError(f"{count} ids were given; the context takes from 1 to {self.config.n_ctx}")
        return array

    def known_ids(self, ids: Ids, most: int = 1) -> IntArray:
        """As `check_ids`, of any number."""
        try:
            array: npt.NDArray[Any] = np.asarray(ids)
        except ValueError as problem:
            raise SettingError("ids of several texts must have one length: (B, T)") from problem
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise SettingError(f"token ids must be whole numbers, not {array.dtype}")
        if not 1 <= array.ndim <= most:
            shapes = "(T,)" if most == 1 else "(T,) or (B, T)"
            raise SettingError(f"ids have the shape {array.shape}; {shapes} is wanted")
        wrong = (array < 0) | (array >= self.config.vocab_size)
        if wrong.any():
            first = int(array[wrong][0])
            raise SettingError(
                f"token id {first} is not in the vocabulary; ids go from 0 to {self.config.vocab_size - 1}"
            )
        return np.ascontiguousarray(array, np.int32)

    def _window(self, names: Sequence[str], interventions: Interventions | None) -> Window | None:
        names = (names,) if isinstance(names, str) else names
        if not names and not interventions:
            return None
        return Window(self.config, Probes(*names), interventions or Interventions())

    def _batch_pass(self, B: int, T: int, precision: str | None) -> BatchPass:
        weights = self.weights(precision or self.precision)
        team = self._shared_team()
        return BatchPass(self.parameters, B, T, team, weights, adapters=self._adapters, gradients=False)

    def _shared_team(self) -> Team:
        if self._team is None:
            self._team = Team(physical_cores())
        return self._team

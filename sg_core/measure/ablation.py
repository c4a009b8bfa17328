"""What each head and each MLP is worth: the loss on a text when it alone is muted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sg_core.checks import quoted
from sg_core.errors import SettingError
from sg_core.gpt2 import GPT2
from sg_core.kernels.team import Team, physical_cores
from sg_core.network.batch_pass import BatchPass
from sg_core.network.interventions import Interventions
from sg_core.network.probes import Probes
from sg_core.network.window import Window
from sg_core.types import Cancelled, Count

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Ablation:
    """A head, or the MLP (head None) of a layer, muted. loss, plain_loss: mean nats of `tokens` tokens with and without
    it muted, in windows of the context without overlap, exact (no GELU table)."""

    layer: int
    head: int | None
    tokens: int
    loss: float
    plain_loss: float

    @property
    def name(self) -> str:
        """As `muted` reads it: "5.1", "3.mlp"."""
        return f"{self.layer}.{'mlp' if self.head is None else self.head}"

    @property
    def change(self) -> float:
        """How much more the text surprises without it, nats per token."""
        return self.loss - self.plain_loss


def muted(model: GPT2, names: list[str]) -> Interventions:
    """Heads ("5.1": head 1 of layer 5) and MLPs ("3.mlp") muted. Raises SettingError for what the model has not."""
    config, changes = model.config, Interventions()
    for name in names:
        layer, _, part = name.partition(".")
        heads = {str(head): head for head in range(config.n_head)}
        if layer not in {str(number) for number in range(config.n_layer)} or part not in {*heads, "mlp"}:
            raise SettingError(
                f"{quoted(name)} can't be muted: layers of {model.name} go from 0 to {config.n_layer - 1}, heads from "
                f"0 to {config.n_head - 1}; give LAYER.HEAD, such as 0.1, or LAYER.mlp"
            )
        if part == "mlp":
            changes = changes.scale_mlp(int(layer), 0.0)
        else:
            changes = changes.scale_head(int(layer), heads[part], 0.0)
    return changes


def ablate_each(
    model: GPT2,
    ids: list[int],
    precision: str | None = None,
    threads: int | None = None,
    progress: Count | None = None,
    cancelled: Cancelled | None = None,
) -> Iterator[Ablation]:
    """Each head of each layer, then its MLP, muted alone on a text of at least two tokens; fewer once cancelled.

    progress(passes done, passes in all); cancelled() is asked between two passes over a window. Raises SettingError.
    """
    if len(ids) < 2:
        raise SettingError(f"the text has {len(ids)} tokens; at least two are needed to see a loss")
    losses = _Losses(model, ids, precision, threads)
    parts = [(layer, head) for layer in range(model.config.n_layer) for head in [*range(model.config.n_head), None]]
    total = len(losses.windows) * (1 + len(parts))

    def mean(changes: Interventions, done: int) -> float | None:
        found = 0.0
        for number, (inputs, targets) in enumerate(losses.windows):
            if cancelled is not None and cancelled():
                return None
            found += losses.of(inputs, targets, changes)
            if progress is not None:
                progress(done * len(losses.windows) + number + 1, total)
        return found / losses.tokens

    plain = mean(Interventions(), 0)
    for done, (layer, head) in enumerate(parts, 1):
        nothing = Interventions()
        changes = nothing.scale_mlp(layer, 0.0) if head is None else nothing.scale_head(layer, head, 0.0)
        loss = None if plain is None else mean(changes, done)
        if loss is None or plain is None:
            return
        yield Ablation(layer, head, losses.tokens, loss, plain)


class _Losses:
    """Sums of nats over the windows of a text."""

    def __init__(self, model: GPT2, ids: list[int], precision: str | None, threads: int | None) -> None:
        array, size = model.known_ids(ids), model.config.n_ctx
        self.tokens = len(array) - 1
        starts = range(0, self.tokens, size)
        self.windows = [(array[None, s : min(s + size, self.tokens)], array[s + 1 : s + 1 + size]) for s in starts]
        self._model = model
        self._weights = model.weights(precision or model.precision)
        self._team = Team(threads or physical_cores())
        self._batch: BatchPass | None = None

    def of(self, inputs: IntArray, targets: IntArray, changes: Interventions) -> float:
        """inputs (1, T), targets (T,) int32."""
        T = inputs.shape[1]
        if self._batch is None or self._batch.shape[1] != T:
            self._batch = None  # before the next one takes memory
            self._batch = BatchPass(
                self._model.parameters, 1, T, self._team, self._weights, adapters=self._model.adapters, gradients=False
            )
        window = Window(self._model.config, Probes(), changes).open(1, 0, T, 0, T) if changes else None
        return float(self._batch.losses(inputs, targets, window).sum())

"""What happens in each block while it learns: its gradient, how far its weights move, how many of its GELUs are dead.

Looked at one block at a time, every few steps, so that looking costs about a percent of a step and the memory of a
block: of its numbers the gradient is read once, the weights are copied, and read once more beside the copy.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from sg_core.network.adapters import Adapter, Trainable
from sg_core.network.batch_pass import BatchPass
from sg_core.network.parameters import MATRICES, Parameters
from sg_core.training.ranks import Ranks
from sg_core.training.results import LayerFigures
from sg_core.types import FloatArray

_DEAD = {"relu": 0.0}  # inputs up to which an activation gives, and learns, next to nothing
_DEAD_GELU = -3.0  # there all forms of GELU are within 0.02 of 0


def numbers_of(trained: Trainable, layer: int) -> slice:
    """Where the matrices of a block that learn lie in the arena, next to each other; of an adapter all its factors."""
    if isinstance(trained, Adapter):
        start = int(trained.places[layer, 0, 0])
        projections = range(trained.ranks.shape[1])
        return slice(start, start + sum(part.size for one in projections for part in trained.factors(layer, one)))
    assert isinstance(trained, Parameters)
    C, H = trained.config.n_embd, trained.config.hidden_size
    start = int(trained.layout.blocks[layer, MATRICES[0]])
    return slice(start, start + 4 * C * C + 2 * C * H)


def dead_units(highest: FloatArray, activation: str) -> float:
    """Share of the hidden units whose highest input (H,) over all tokens was so low that they gave next to nothing."""
    return float(np.mean(highest <= _DEAD.get(activation, _DEAD_GELU)))


class LayerWatch:
    """Looks at one block, each time at the next one, in every step whose number `every` divides; 0: never.

    own: the numbers of `trained` that this of all processes updates.
    figures: of the last step, None if it was not looked at.
    """

    def __init__(self, trained: Trainable, own: slice, ranks: Ranks) -> None:
        self.every = 0
        self.figures: LayerFigures | None = None
        self._trained, self._own, self._ranks = trained, own, ranks
        self._weights = self._before = np.empty(0, np.float32)
        self._seen: LayerFigures | None = None  # what is known before the update

    def before(self, step: int, gradients: FloatArray, batch_pass: BatchPass) -> None:
        """The weights are about to be updated by gradients, which begin with those of the own numbers."""
        self.figures = self._seen = None
        if not self.every or step % self.every:
            return
        trained, own = self._trained, self._own
        layer = (step // self.every - 1) % trained.config.n_layer
        numbers = numbers_of(trained, layer)
        start, stop = max(numbers.start, own.start), min(numbers.stop, own.stop)
        part = gradients[start - own.start : max(start, stop) - own.start]
        norm = math.sqrt(float(self._ranks.gather([float(np.dot(part, part))]).sum()))
        dead = self._dead(layer, batch_pass)
        self._weights = trained.arena[numbers]
        self._before = self._weights.copy()
        self._seen = LayerFigures(step, layer, norm, math.nan, dead)

    def _dead(self, layer: int, batch_pass: BatchPass) -> float:
        """Of the tokens that were last computed, in all processes."""
        inputs = batch_pass.inputs_of_activation(layer)
        if inputs is None:
            return math.nan
        highest = self._ranks.gather(inputs.max(axis=0).astype(np.float64))
        return dead_units(highest.reshape(self._ranks.size, -1).max(axis=0), self._trained.config.activation_function)

    def after(self) -> None:
        """The weights have been updated."""
        if self._seen is None:
            return
        size = _norm(self._before)
        np.subtract(self._weights, self._before, out=self._before)
        ratio = _norm(self._before) / size if size else math.nan
        self.figures = replace(self._seen, update_ratio=ratio)
        self._weights = self._before = np.empty(0, np.float32)


def _norm(numbers: FloatArray) -> float:
    return math.sqrt(float(np.dot(numbers, numbers)))

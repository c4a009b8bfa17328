"""What a run has learned, as several processes share it: moments are collected for a checkpoint, and handed out again.

The first process has all of an array at a time, in the room of the gradients, which rest between two steps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from sg_core.network.adapters import Trainable
from sg_core.training.averaging import WeightAverage
from sg_core.training.optimizer import AdamW
from sg_core.training.ranks import Ranks
from sg_core.training.slots import SlotTree
from sg_core.types import FloatArray

MOMENTS = ("first_moment", "second_moment")


class SharedState:
    """Weights, moments and the average of a run."""

    def __init__(
        self, trained: Trainable, optimizer: AdamW, average: WeightAverage | None, gradients: SlotTree, ranks: Ranks
    ) -> None:
        self._trained, self._optimizer, self._average = trained, optimizer, average
        self._gradients, self._ranks = gradients, ranks

    def digest(self) -> str:
        """SHA-256, in hex, of the weights."""
        return hashlib.sha256(np.ascontiguousarray(self._trained.arena, "<f4").data).hexdigest()

    def moments(self) -> dict[str, Any]:
        """For `save_checkpoint`, by name: arrays (P,), or what collects one when its turn comes; then `clear`."""
        if self._ranks.size == 1:
            return {name: self._own(name) for name in MOMENTS}
        return {name: partial(self.collect, name) for name in MOMENTS}

    def collect(self, name: str) -> FloatArray:
        """Moments (P,), whole in the first process, good until the next call or `clear`. Done in all processes."""
        room = self._gradients.total.arena
        with self._ranks.together("collect", name=name):
            self._optimizer.collect(self._own(name), room)
        return room

    def hand_out(self, arrays: Mapping[str, FloatArray] | None, updates: int, averaged: int) -> None:
        """Everybody's numbers become those that the first process gives by name: "weights", MOMENTS, "average".

        Done in all processes; the others give none.
        """
        room, own = self._gradients.total.arena, self._optimizer.own
        targets = [("weights", self._trained.arena, slice(None)), *((name, self._own(name), own) for name in MOMENTS)]
        self._optimizer.updates = updates
        if self._average is not None:
            targets.append(("average", self._average.parameters.arena, slice(None)))
            self._average.count = averaged
        for name, target, part in targets:
            if arrays is not None:
                room[:] = arrays[name]
            self._ranks.hand_out(room)
            target[:] = room[part]
        self.clear()

    def clear(self) -> None:
        """The gradients are zero, as a step wants them."""
        self._gradients.clear()

    def _own(self, name: str) -> FloatArray:
        return self._optimizer.first if name == MOMENTS[0] else self._optimizer.second

"""Gradients of the slots of a batch, added in one fixed tree: 0 with 1, 2 with 3, then both sums, and so on.

A number of slots that is no power of two leaves branches over, which are added from the last one on. As a binary
counter counts, log2(slots) + 1 gradients are held at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sg_core.kernels.adding import add_and_clear
from sg_core.kernels.jit import entry
from sg_core.kernels.team import Team, barrier
from sg_core.network.adapters import Trainable
from sg_core.training.settings import TrainingConfig


@entry
def add_entry(thread: int, threads: int, cells: Any, total: Any, part: Any) -> None:
    """As `add_and_clear`."""
    add_and_clear(total, part, thread, threads)
    barrier(cells, threads)


def rooms_of(slots: int) -> int:
    """How many gradients are held at most while so many slots are added."""
    return slots.bit_length()


def windows_of(slot: int, config: TrainingConfig) -> Iterator[tuple[int, int, slice]]:
    """(number of a batch in the step, which part of it, its windows) of all that a slot computes, in order."""
    if config.batch_size % config.slots:
        each = config.accumulation // config.slots
        yield from ((batch, 0, slice(None)) for batch in range(slot * each, (slot + 1) * each))
    else:
        windows = slice(slot * config.slot_size, (slot + 1) * config.slot_size)
        yield from ((batch, slot, windows) for batch in range(config.accumulation))


class SlotTree:
    """Room for the gradients of slots. total: their sum, once all are in; the other rooms are zero then."""

    def __init__(self, trained: Trainable, slots: int) -> None:
        self._rooms = [trained.like() for _ in range(rooms_of(slots))]
        self.total = self._rooms[0]
        self._pending: list[int] = []  # slots in each room that is taken

    def leaf(self) -> Trainable:
        """Zeros, for the gradients of the next slot."""
        self._pending.append(1)
        return self._rooms[len(self._pending) - 1]

    def add(self, team: Team) -> None:
        """The gradients of that slot are whole: add what makes a whole branch."""
        while len(self._pending) > 1 and self._pending[-2] == self._pending[-1]:
            self._join(team)

    def finish(self, team: Team) -> None:
        """All slots are in."""
        while len(self._pending) > 1:
            self._join(team)
        self._pending.clear()

    def clear(self) -> None:
        """Zeros everywhere."""
        self._pending.clear()
        for room in self._rooms:
            room.arena.fill(0.0)

    def _join(self, team: Team) -> None:
        last = self._pending.pop()
        self._pending[-1] += last
        one, other = self._rooms[len(self._pending) - 1 : len(self._pending) + 1]
        team.run(add_entry, one.arena, other.arena)

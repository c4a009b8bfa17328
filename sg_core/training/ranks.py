"""Processes that train one model together: what each has to do, and how their numbers come together.

This process alone is the plain case, and what MPI's processes do (see `mpi`) in its place. The batch of a step is cut
into slots, whatever the number of processes: the gradients of slots are added in one fixed tree, of which a process
holds a whole branch. So as many slots give the same bits, in one process or in several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.errors import SettingError
from sg_core.processors import physical_cores
from sg_core.types import FloatArray

Sums = npt.NDArray[np.float64]


class Ranks:
    """This process alone, and no other. rank: its number; size: of all; local: of those on this machine.

    Every process calls the same methods in the same order. wish: asked at each step for the exit code of a signal, 0
    for none; wished: the code that any process had.
    """

    rank, size, local = 0, 1, 1

    def __init__(self) -> None:
        self.wish: Callable[[], int] = lambda: 0
        self.wished = 0

    @property
    def threads(self) -> int:
        """This process's share of the machine's cores."""
        return physical_cores()

    # ------------------------------------------------------------ the same everywhere, or nowhere

    def agreed(self) -> AbstractContextManager[None]:
        """What is done within succeeds in every process, or fails in all of them with the first one's error."""
        return nullcontext()

    def require_same(self, trained: Callable[[], str]) -> None:
        """Raises SgError, in every process, where what one of them is going to train is not what the first one is."""

    def together(self, what: str, **said: Any) -> AbstractContextManager[None]:
        """The first process tells the others what all of them do now."""
        return nullcontext()

    def told(self) -> Iterator[dict[str, Any]]:
        """What the first process tells, until it tells no more: {"do": what, ...}."""
        return iter(())

    def leading(self) -> AbstractContextManager[None]:
        """Within, the first process tells; the others, which are `told`, end with it."""
        return nullcontext()

    # ------------------------------------------------------------ numbers

    def gather(self, values: Sequence[float] | Sums, counts: Sequence[int] | None = None) -> Sums:
        """The float64 numbers of all processes, in their order. counts: how many each has, None for equally many."""
        return np.asarray(values, np.float64)

    def add(self, arena: FloatArray, pieces: Sequence[tuple[int, int]]) -> FloatArray:
        """The sum of a piece of the arenas (P,) float32 over all processes, in the fixed tree: piece r in process r.

        pieces: (start, stop), the same in each; they may overlap. Where the sum is an array of its own, to be used
        until the next call, the arena is zero.
        """
        return arena[slice(*pieces[0])]

    def spread(self, arena: FloatArray, bounds: Sequence[int]) -> None:
        """arena[bounds[r] : bounds[r + 1]] of process r goes to all others."""

    def collect(self, own: FloatArray, bounds: Sequence[int], arena: FloatArray) -> None:
        """The ranges that processes own, in their order, become the arena (P,) of the first one."""
        arena[:] = own

    def hand_out(self, arena: FloatArray) -> None:
        """The arena of the first process becomes that of all."""

    # ------------------------------------------------------------ what each has to do

    def require_slots(self, slots: int) -> None:
        """Raises SettingError where processes can't share so many slots, each a whole branch of the tree."""
        if not _shared(slots, self.size):
            fitting = " or ".join(str(size) for size in range(1, slots + 1) if _shared(slots, size))
            raise SettingError(
                f"slots is {slots}, which {self.size} processes can't share: start {fitting}, or give a new run "
                f"--slots {8 * self.size}"
            )

    def own_slots(self, slots: int) -> range:
        """The slots of this process."""
        each = slots // self.size
        return range(self.rank * each, (self.rank + 1) * each)


ALONE = Ranks()


def _shared(slots: int, size: int) -> bool:
    """Whether so many processes hold equally many slots, a power of two, and so a branch of the tree each."""
    each, rest = divmod(slots, size)
    return size == 1 or (rest == 0 and each > 0 and each & (each - 1) == 0)

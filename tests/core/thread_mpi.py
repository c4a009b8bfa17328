"""MPI among threads of one process: as much of mpi4py's interface as training uses, for tests that run anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from sg_core.errors import SgError
from sg_core.training.mpi import LostError

Result = TypeVar("Result")


class GoneError(Exception):
    """Of a process that is gone."""


class World:
    """What the threads share. boxes: what each has handed in for the call that all are in."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = threading.Barrier(size, timeout=60)
        self.boxes: list[Any] = [None] * size


class Request:
    """A call that is made, and done, at the first look."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def Test(self) -> bool:  # noqa: N802
        self._call()
        return True


class Communicator:
    """The world as one thread sees it; methods are named as in MPI."""

    def __init__(self, world: World, rank: int) -> None:
        self._world, self._rank = world, rank

    def Get_rank(self) -> int:  # noqa: N802
        return self._rank

    def Get_size(self) -> int:  # noqa: N802
        return self._world.size

    def Split_type(self, kind: Any) -> Communicator:  # noqa: N802
        return self

    def Abort(self, code: int) -> None:  # noqa: N802
        self._world.barrier.abort()

    def Iallgatherv(self, own: Any, target: Any) -> Request:  # noqa: N802
        return Request(lambda: self.Allgatherv(own, target))

    def Allgatherv(self, own: Any, target: Any) -> None:  # noqa: N802
        room, counts, starts = _target(target)
        if own is None:  # in place
            own = room[starts[self._rank] : starts[self._rank] + counts[self._rank]]
        for start, part in zip(starts, self._exchange(_flat(own).copy()), strict=True):
            room[start : start + part.size] = part

    def Ibcast(self, room: Any, root: int) -> Request:  # noqa: N802
        return Request(lambda: self.Bcast(room, root))

    def Bcast(self, room: Any, root: int) -> None:  # noqa: N802
        _flat(room)[:] = self._exchange(_flat(room).copy())[root]

    def Alltoallv(self, own: Any, target: Any) -> None:  # noqa: N802
        (room, counts, starts), (arriving, _, places) = _target(own), _target(target)
        pieces = [room[start : start + count].copy() for start, count in zip(starts, counts, strict=True)]
        for place, sent in zip(places, self._exchange(pieces), strict=True):
            piece = sent[self._rank]
            arriving[place : place + piece.size] = piece

    def Gatherv(self, own: Any, target: Any, root: int) -> None:  # noqa: N802
        parts = self._exchange(_flat(own).copy())
        if self._rank == root:
            room, _, starts = _target(target)
            for start, part in zip(starts, parts, strict=True):
                room[start : start + part.size] = part

    def _exchange(self, value: Any) -> list[Any]:
        try:
            self._world.barrier.wait()
            self._world.boxes[self._rank] = value
            self._world.barrier.wait()
            found = list(self._world.boxes)
            self._world.barrier.wait()
        except threading.BrokenBarrierError:
            raise GoneError from None
        return found


class Mpi:
    """The module, as one thread imports it."""

    Exception = GoneError
    IN_PLACE = None
    BYTE = "BYTE"
    COMM_TYPE_SHARED = 0

    def __init__(self, world: World, rank: int) -> None:
        self.COMM_WORLD = Communicator(world, rank)

    def Get_processor_name(self) -> str:  # noqa: N802
        return "here"


def _flat(room: Any) -> Any:
    return np.frombuffer(room, np.uint8) if isinstance(room, bytes | bytearray) else room.reshape(-1)


def _target(target: Any) -> tuple[Any, list[int], list[int]]:
    room, (counts, starts) = target[0], target[1]
    return _flat(room), counts, [0, *np.cumsum(counts).tolist()[:-1]] if starts is None else starts


def in_threads(size: int, work: Callable[[Mpi], Result]) -> list[Result]:
    """What `work` returns in each of so many threads, with the MPI of that one.

    Raises what one of them raised; not that another was gone, where there is more to say.
    """
    world, done = World(size), [None] * size
    raised: dict[int, BaseException] = {}

    def run(rank: int) -> None:
        try:
            done[rank] = work(Mpi(world, rank))  # type: ignore[call-overload]
        except SgError as problem:
            raised[rank] = problem
        except BaseException as problem:  # a test fails: nobody is to wait
            raised[rank] = problem
            world.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for problem in sorted(raised.values(), key=lambda one: isinstance(one, LostError)):
        raise problem
    return done  # type: ignore[return-value]

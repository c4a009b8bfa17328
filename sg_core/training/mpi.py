"""Processes that an MPI launcher started (`mpiexec -n 4 sg-tui train`), which train one model together.

mpi4py is imported, and MPI begins, only where a launcher's variables are there. Sums are added here, in the order of
the tree: MPI only carries numbers, as its own sums may have another order for another number of processes.
"""

from __future__ import annotations

import atexit
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from sg_core.errors import SgError, TrainingError
from sg_core.files import shown
from sg_core.memory import aligned
from sg_core.processors import physical_cores
from sg_core.training.ranks import ALONE, Ranks, Sums
from sg_core.types import FloatArray

SLOTS = 8  # of a run that a launcher starts and that names no other number
# variables of a process's number, and of how many there are: MPICH and Slurm's PMI, Open MPI, PMIx
_LAUNCHERS = (
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMIX_RANK", "SLURM_STEP_NUM_TASKS"),
)
_CHUNK = 1 << 18  # numbers of a range that are on their way at a time
_PATIENCE = 1e-3  # seconds between two looks for a message that keeps a process waiting


class LostError(SgError):
    """Another process of the run has ended, so that this one can't go on."""


def launched(environment: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """(number of this process, how many there are; 0: not told) as an MPI launcher says, None where none did."""
    for rank, size in _LAUNCHERS:
        if environment.get(rank, "").isdecimal():
            there = environment.get(size, "")
            return int(environment[rank]), int(there) if there.isdecimal() else 0
    return None


def join() -> Ranks:
    """The processes that train together: those that an MPI launcher started, or this one alone.

    Raises TrainingError where MPI can't be used.
    """
    start = launched()
    if start is None:
        return ALONE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another launcher, which is told below
            from mpi4py import MPI
    except (ImportError, RuntimeError) as problem:
        missing = isinstance(problem, ModuleNotFoundError)
        raise TrainingError(
            f"started by an MPI launcher, but {'mpi4py is not installed' if missing else f'MPI {shown(problem)}'}: "
            "pip install 'sg-tui[mpi]', and an MPI such as the package mpich"
        ) from None
    _, size = start
    if size > MPI.COMM_WORLD.Get_size():
        raise TrainingError(
            f"the launcher started {size} processes, but each sees itself alone: mpi4py uses another MPI "
            f"({MPI.get_vendor()[0]}) than the launcher's; start with the launcher of that one"
        )
    return MpiRanks(MPI)


class MpiRanks(Ranks):
    """The processes of MPI's world. The first tells the others what to do (`told`), and all of them do it.

    Whoever waits for another looks for its message now and then, and leaves the core to others. Methods raise LostError
    when a process is gone, where the launcher has not ended all of them by then.
    """

    def __init__(self, MPI: Any) -> None:
        super().__init__()
        self._mpi = MPI
        self._world = MPI.COMM_WORLD
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        self.local = self._world.Split_type(MPI.COMM_TYPE_SHARED).Get_size()
        self._busy = False  # whether all are in the middle of something
        self._parted = False
        self._sum: FloatArray = aligned(0)
        self._arriving: FloatArray = aligned(0)
        atexit.register(self._end)
        # a launcher that binds processes to cores has shared them out already
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._place = f"{MPI.Get_processor_name()} {cores}"
        self._sharing = self._exchange(self._place).count(self._place)

    @property
    def threads(self) -> int:
        return max(1, physical_cores() // self._sharing)

    # ------------------------------------------------------------ the same everywhere, or nowhere

    @contextmanager
    def agreed(self) -> Iterator[None]:
        problem: Exception | None = None
        try:
            yield
        except Exception as raised:
            problem = raised
        said = self._exchange("" if problem is None else str(problem) or type(problem).__name__)
        first = next((rank for rank, text in enumerate(said) if text), None)
        if first is not None:
            self._parted = True
            if problem is not None:
                raise problem
            raise SgError(f"process {first + 1} of {self.size}: {said[first]}")

    def require_same(self, trained: Callable[[], str]) -> None:
        said = self._exchange(trained())
        other = next((rank for rank, text in enumerate(said) if text != said[0]), None)
        if other is not None:
            self._parted = True
            raise SgError(
                f"process {other + 1} of {self.size} has another text, other settings or other weights than the first "
                "one: all need the same files, options and version"
            )

    def _exchange(self, text: str) -> list[str]:
        """What each process says."""
        data = text.encode()
        sizes = self.gather([len(data)]).astype(int).tolist()
        found = bytearray(sum(sizes))
        self._wait(self._world.Iallgatherv(data, [found, (sizes, None), self._mpi.BYTE]))
        ends = np.cumsum(sizes).tolist()
        return [bytes(found[end - size : end]).decode() for size, end in zip(sizes, ends, strict=True)]

    @contextmanager
    def together(self, what: str, **said: Any) -> Iterator[None]:
        if self._busy:
            raise LostError(self._lost())
        if self.rank == 0:
            self._say(json.dumps({"do": what, **said}).encode())
        self._busy = True
        yield
        self._busy = False

    def told(self) -> Iterator[dict[str, Any]]:
        while True:
            size = np.zeros(1, np.int64)
            self._wait(self._world.Ibcast(size, 0))
            if not size[0]:
                self._parted = True
                return
            text = bytearray(int(size[0]))
            self._wait(self._world.Ibcast(text, 0))
            yield json.loads(text)

    def _say(self, text: bytes) -> None:
        self._wait(self._world.Ibcast(np.array([len(text)], np.int64), 0))
        if text:
            self._wait(self._world.Ibcast(bytearray(text), 0))

    @contextmanager
    def leading(self) -> Iterator[None]:
        try:
            yield
        finally:
            if not self._busy:
                self._say(b"")
                self._parted = True

    def _end(self) -> None:
        """The interpreter ends: others that may still wait for this process end with it."""
        if not self._parted:
            self._world.Abort(1)

    # ------------------------------------------------------------ numbers

    def gather(self, values: Sequence[float] | Sums, counts: Sequence[int] | None = None) -> Sums:
        own = np.asarray(values, np.float64)
        # the code of a signal travels with the first numbers
        counts = [own.size] * self.size if counts is None else [int(count) for count in counts]
        found = np.empty(sum(counts) + self.size, np.float64)
        sizes = [count + 1 for count in counts]
        self._wait(self._world.Iallgatherv(np.append(own, self.wish()), [found, (sizes, None)]))
        ends = np.cumsum(sizes) - 1
        self.wished = max(self.wished, int(found[ends].max()))
        return np.delete(found, ends)

    def add(self, arena: FloatArray, pieces: Sequence[tuple[int, int]]) -> FloatArray:
        if self.size == 1:
            return arena
        starts, stops = np.array(pieces).T
        own = int(stops[self.rank] - starts[self.rank])
        if self._sum.size != own:
            self._sum = aligned(own)
        if not self._arriving.size:
            self._arriving = aligned(self.size, min(_CHUNK, int((stops - starts).max())))
        for done in range(0, int((stops - starts).max()), _CHUNK):
            counts = np.clip(stops - starts - done, 0, _CHUNK)
            places = np.where(counts > 0, starts + done, 0)
            mine = int(counts[self.rank])
            rows = self._arriving.reshape(-1)[: self.size * mine].reshape(self.size, mine)
            self._call(
                self._world.Alltoallv,
                [arena, (counts.tolist(), places.tolist())],
                [rows, ([mine] * self.size, [rank * mine for rank in range(self.size)])],
            )
            if mine:
                self._sum[done : done + mine] = _tree_sum(rows)
        arena.fill(0.0)
        return self._sum

    def spread(self, arena: FloatArray, bounds: Sequence[int]) -> None:
        counts = np.diff(bounds).tolist()
        self._call(self._world.Allgatherv, self._mpi.IN_PLACE, [arena, (counts, list(bounds[:-1]))])

    def collect(self, own: FloatArray, bounds: Sequence[int], arena: FloatArray) -> None:
        target = [arena, (np.diff(bounds).tolist(), list(bounds[:-1]))] if self.rank == 0 else None
        self._call(self._world.Gatherv, own, target, 0)

    def hand_out(self, arena: FloatArray) -> None:
        self._call(self._world.Bcast, arena, 0)

    # ------------------------------------------------------------ waiting

    def _call(self, function: Any, *arguments: Any) -> None:
        try:
            function(*arguments)
        except self._mpi.Exception:
            raise LostError(self._lost()) from None

    def _wait(self, request: Any) -> None:
        """Until a message is there: looking at once, then less and less often."""
        pause = 0.0
        try:
            while not request.Test():
                time.sleep(pause)
                pause = min(_PATIENCE, pause + 1e-6)
        except self._mpi.Exception:
            raise LostError(self._lost()) from None

    def _lost(self) -> str:
        return "another process of the run has ended; --resume goes on from the run's last checkpoint"


def _tree_sum(rows: FloatArray) -> FloatArray:
    """The sum (n,) of rows (R, n), which are used up: 0 + 1, 2 + 3, then both sums, as `SlotTree` adds slots."""
    stride = 1
    while stride < len(rows):
        for row in range(0, len(rows) - stride, 2 * stride):
            rows[row] += rows[row + stride]
        stride *= 2
    total: FloatArray = rows[0]
    return total

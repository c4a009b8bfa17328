"""How many threads compute while other programs hold the cores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sg_core.kernels.crowding import LONGEST_REST, RESTS, WINDOW, Crowding
from sg_core.kernels.jit import kernel
from sg_core.kernels.team import Team, barrier


class Machine:
    """Calls of 5 ms each, on a clock of its own, in which `share` of the threads' time is lost."""

    def __init__(self, most: int) -> None:
        self.now = 100.0
        self.crowding = Crowding(most)

    def call(self, share: float) -> int:
        threads = self.crowding.threads(self.now)
        self.now += 0.005
        if threads > 1:  # one alone waits for nobody
            self.crowding.observe(self.now, 0.005, share * 0.005 * threads)
        return threads

    def calls(self, seconds: float, share: float) -> list[int]:
        end = self.now + seconds
        counts = []
        while self.now < end:
            counts.append(self.call(share))
        return counts


def test_on_a_quiet_machine_all_threads_compute() -> None:
    assert set(Machine(4).calls(10.0, share=0.1)) == {4}


def test_one_bad_moment_is_not_enough() -> None:
    machine = Machine(2)
    for _ in range(50):
        counts = [machine.call(0.8), *(machine.call(0.05) for _ in range(3))]
        assert counts == [2, 2, 2, 2]


def test_where_half_of_the_time_is_lost_one_thread_computes_nearly_always() -> None:
    counts = Machine(2).calls(60.0, share=0.5)
    assert counts[:4] == [2, 2, 2, 2]
    assert counts[4] == 1
    tries = counts.count(2) / len(counts)
    assert tries < 0.02  # a window in each of the longest rests, and some at the beginning


def test_threads_are_halved_until_little_is_lost() -> None:
    machine = Machine(8)
    counts = [machine.call(0.6 if machine.crowding.threads(machine.now) > 2 else 0.1) for _ in range(12)]
    assert counts == [8, 8, 8, 8, 4, 4, 4, 4, 2, 2, 2, 2]


def test_when_the_cores_are_free_again_all_threads_come_back_within_the_longest_rest() -> None:
    machine = Machine(2)
    machine.calls(60.0, share=0.5)
    counts = machine.calls(LONGEST_REST + 0.1, share=0.0)
    assert counts[-1] == 2
    assert set(machine.calls(1.0, share=0.0)) == {2}
    machine.calls(WINDOW, share=0.9)  # and the next rest is a short one
    assert machine.calls(RESTS * WINDOW + 0.05, share=0.0)[-1] == 2


def test_long_calls_rest_in_proportion() -> None:
    crowding, now, tried = Crowding(2), 0.0, 0
    for _ in range(400):
        tried += crowding.threads(now) == 2
        now += 1.0
        if crowding.threads(now) == 2:
            crowding.observe(now, 1.0, 1.2)
    assert tried / 400 < 1.5 / RESTS


def test_a_team_whose_threads_come_and_go_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    @kernel
    def meet(thread: int, threads: int, cells: Any, seen: Any) -> None:
        for step in range(50):
            seen[thread, step] = threads
            barrier(cells, threads)

    counts = iter([3, 1, 2, 3, 2])
    team = Team(3)
    monkeypatch.setattr(team._crowding, "threads", lambda now: next(counts))
    for count in (3, 1, 2, 3, 2):
        seen = np.zeros((3, 50), np.int64)
        team.run(meet, seen)
        assert (seen[:count] == count).all()
        assert (seen[count:] == 0).all()


def test_time_lost_at_a_barrier_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread works a while, the other has nothing to do."""

    @kernel
    def uneven(thread: int, threads: int, cells: Any, values: Any) -> None:
        if thread == 0:
            for _ in range(2000):
                for i in range(values.shape[0]):
                    values[i] = values[i] * 0.5 + 1.0
        barrier(cells, threads)

    told: list[tuple[float, float]] = []
    team = Team(2)
    team.run(uneven, np.zeros(8))  # compiled before anything is measured
    monkeypatch.setattr(team._crowding, "observe", lambda now, elapsed, lost: told.append((elapsed, lost)))
    team.run(uneven, np.zeros(100_000))
    team.run(uneven, np.zeros(8))  # who waited longest may tell it a moment after the call
    elapsed, lost = told[0][0], told[0][1] + told[1][1]
    assert lost > 0.5 * elapsed  # nearly all, less the handing over

"""With other programs on every core the engine is slow, not collapsed."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sg_core import GPT2, GPT2Config
from sg_core.measure.benchmark import time_tokens
from sg_core.network.optimizations import Optimizations


@contextmanager
def every_core_busy() -> Iterator[None]:
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(len(os.sched_getaffinity(0)))
    ]  # fmt: skip
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def typical_ms(model: GPT2, threads: int) -> float:
    timing = time_tokens(model, Optimizations(), 120, threads=threads)
    assert timing is not None
    return timing.ms_per_token


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="two processors are needed"
)
def test_two_threads_are_at_most_half_as_slow_again_as_one_beside_busy_loops() -> None:
    model = GPT2.random(GPT2Config(vocab_size=512, n_ctx=128, n_layer=4, n_head=4, n_embd=128))
    for threads in (1, 2):
        typical_ms(model, threads)  # compiled and warm
    with every_core_busy():
        rounds = [(typical_ms(model, 1), typical_ms(model, 2)) for _ in range(5)]
    alone, together = (statistics.median(times) for times in zip(*rounds, strict=True))
    assert together <= 1.5 * alone

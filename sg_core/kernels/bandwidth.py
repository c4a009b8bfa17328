"""The fastest this machine reads memory: the bound of decoding, which reads every weight once a token."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from sg_core.kernels.jit import entry, unordered
from sg_core.kernels.team import Team, barrier, share_start

SIZE = 256 << 20  # bytes read in one pass: far more than most caches hold
MOST = 512 << 20  # bytes of a larger model that are worth reading: no cache holds so many
LEAST = 1 << 20  # fewer are over before the clock has told
_GRAIN = 16  # float32 numbers of a cache line


@unordered
def _sum_four(a: Any, b: Any, c: Any, d: Any, count: int) -> Any:
    """Sum of four float32 streams, read side by side."""
    first, second, third, fourth = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for i in range(count):
        first += a[i]
        second += b[i]
        third += c[i]
        fourth += d[i]
    return first + second + third + fourth


@unordered
def _sum_eight(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, count: int) -> Any:
    """Sum of eight float32 streams, read side by side."""
    s0, s1, s2, s3 = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for i in range(count):
        s0 += a[i] + b[i]
        s1 += c[i] + d[i]
        s2 += e[i] + f[i]
        s3 += g[i] + h[i]
    return s0 + s1 + s2 + s3


@entry
def read_all(thread: int, threads: int, cells: Any, values: Any, sums: Any, streams: int) -> None:
    """Read flat float32 `values` once: each thread its contiguous share, as `streams` (4 or 8) far-apart streams.

    sums (threads,) float32 receives what each thread added up. The size is a multiple of 16 * 8 * threads.
    """
    barrier(cells, threads)
    start = share_start(values.shape[0], thread, threads)
    part = (share_start(values.shape[0], thread + 1, threads) - start) // streams
    v = values[start:]
    if streams == 4:
        sums[thread] = _sum_four(v, v[part:], v[2 * part :], v[3 * part :], part)
    else:
        sums[thread] = _sum_eight(
            v,
            v[part:],
            v[2 * part :],
            v[3 * part :],
            v[4 * part :],
            v[5 * part :],
            v[6 * part :],
            v[7 * part :],
            part,
        )
    barrier(cells, threads)


class ReadBandwidth:
    """The best read rate seen so far with a number of threads: it only rises, so a busy moment does not weaken it."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.bytes_per_second = 0.0
        self._team = Team(threads)

    def measure(self, passes: int = 10, size: int = SIZE) -> float:
        """Read `size` bytes `passes` times in each of two ways; returns the best bytes per second so far.

        The memory is taken and given back within the call.
        """
        grain = _GRAIN * 8 * self.threads
        values = np.ones(max(1, size // 4 // grain) * grain, np.float32)
        sums = np.zeros(self.threads, np.float32)
        for streams in (4, 8):
            for _ in range(passes):
                begun = time.perf_counter()
                self._team.run(read_all, values, sums, streams)
                seconds = time.perf_counter() - begun
                self.bytes_per_second = max(self.bytes_per_second, values.nbytes / seconds)
        self._team.run(read_all, sums[:0], sums, 8)  # the helpers let go of the values
        return self.bytes_per_second

"""Residual addition."""

from __future__ import annotations

from typing import Any

from sg_core.kernels.jit import kernel
from sg_core.kernels.team import share_start


@kernel
def residual_forward(out: Any, x: Any, branch: Any, start: int, stop: int, thread: int, threads: int) -> None:
    """Rows start:stop of out (M, C) = x (M, C) + branch (M, C). Its gradient goes to both unchanged."""
    C = x.shape[1]
    flat_out, flat_x, flat_branch = out.reshape(-1), x.reshape(-1), branch.reshape(-1)
    count = (stop - start) * C
    first = start * C + share_start(count, thread, threads)
    last = start * C + share_start(count, thread + 1, threads)
    total, one, other = flat_out[first:last], flat_x[first:last], flat_branch[first:last]
    for i in range(last - first):
        total[i] = one[i] + other[i]

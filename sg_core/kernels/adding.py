"""Sums of gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.jit import kernel
from sg_core.kernels.team import share_start


@kernel
def add_and_clear(total: Any, part: Any, thread: int, threads: int) -> None:
    """total (P,) += part (P,), which is zero afterwards; both float32."""
    count = total.shape[0]
    first, last = share_start(count, thread, threads), share_start(count, thread + 1, threads)
    sums, some = total[first:last], part[first:last]
    for i in range(last - first):
        sums[i] = sums[i] + some[i]
        some[i] = np.float32(0.0)

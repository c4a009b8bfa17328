"""The way back through a weight that is stored in fewer bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sg_core.bfloat16 import from_bfloat16, to_bfloat16
from sg_core.kernels.blocked import BLOCKED_ROOM
from sg_core.kernels.formats import BFLOAT16, FLOAT32, INT8
from sg_core.kernels.stored import STORED_ROOM, stored_backward_input
from sg_core.network.quantization import to_int8

M, N, K, SHARE = 7, 270, 700, 175  # more rows of W than are expanded at once, and more columns; no multiples of 16
BEFORE = 350  # numbers of other matrices


def back(words: Any, stored: int, scales: Any, dy: np.ndarray, threads: int) -> np.ndarray:
    dx = np.full((M, K), np.nan, np.float32)
    room, panel = np.empty(BLOCKED_ROOM, np.float32), np.empty(STORED_ROOM, np.float32)
    for thread in range(threads):
        stored_backward_input(
            dx, dy, words, BEFORE, stored, scales, SHARE, M, room, panel, thread, threads
        )  # fmt: skip
    return dx


@pytest.mark.parametrize("name", ["bf16", "int8"])
def test_it_has_the_bits_of_the_way_back_through_what_the_numbers_stand_for(name: str) -> None:
    draw = np.random.default_rng(0)
    numbers = draw.standard_normal(BEFORE + N * K).astype(np.float32)
    dy = draw.standard_normal((M, N)).astype(np.float32)
    scales = np.zeros(1, np.float32)
    words: Any
    if name == "bf16":
        words, stored = to_bfloat16(numbers).view(np.uint8), BFLOAT16
        meant = from_bfloat16(to_bfloat16(numbers))
    else:
        whole, scales = to_int8(numbers.reshape(-1, SHARE))
        words, stored = whole.view(np.uint8).reshape(-1), INT8
        meant = (whole.astype(np.float32) * scales[:, None]).reshape(-1)
    plain = back(meant, FLOAT32, np.zeros(1, np.float32), dy, 1)
    # the sum of N products of numbers about 1, in float32
    assert np.abs(plain - dy.astype(np.float64) @ meant[BEFORE:].reshape(N, K)).max() < 1e-3
    for threads in (1, 3):
        np.testing.assert_array_equal(back(words, stored, scales, dy, threads), plain)

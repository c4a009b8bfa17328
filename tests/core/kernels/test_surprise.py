"""What a row of logits says of a token, against the plain definition."""

from __future__ import annotations

import numpy as np
import pytest

from sg_core.kernels.surprise import rank_of


@pytest.mark.parametrize("size", [1, 7, 16, 33, 1000])
def test_a_rank_counts_what_is_likelier_and_equal_ones_by_id(size: int) -> None:
    logits = np.random.default_rng(size).integers(0, 20, size).astype(np.float32)  # many are equal
    order = np.argsort(-logits, kind="stable")
    for target in {0, size // 3, size // 2, size - 1}:
        assert rank_of(logits, np.int32(target)) == order.tolist().index(target) + 1
    logits[:] = np.nan
    assert rank_of(logits, np.int32(0)) == 1

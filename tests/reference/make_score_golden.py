"""Make `golden/score.npz`, the scores of texts longer than the context, with PyTorch and transformers:

pip install torch transformers && python tests/reference/make_score_golden.py

Windows as transformers' own page on perplexity has them (stride n_ctx / 2): each scores those of its tokens that the
window before it did not hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from make_golden import reference_model  # type: ignore[import-not-found, unused-ignore]
from recipe import (  # type: ignore[import-not-found, unused-ignore]
    GOLDEN_FOLDER,
    RANK_TOLERANCE,
    SCORE_LENGTHS,
    SCORE_TOP,
    SHAPES,
    Shape,
    score_ids,
)

Arrays = dict[str, npt.NDArray[Any]]


def scores(shape: Shape) -> Arrays:
    """Of each token after the first: log-probability, entropy, least and greatest rank, the likeliest's logprobs."""
    model = reference_model(shape, torch.float32)
    ids = torch.from_numpy(score_ids(shape))
    found: list[tuple[Any, ...]] = []
    held = 1  # the first token has no probability
    for begin in range(0, len(ids), shape.n_ctx // 2):
        end = min(begin + shape.n_ctx, len(ids))
        with torch.no_grad():
            logits = model(ids[None, begin:end]).logits[0].double()
        for token in range(held, end):
            row = logits[token - 1 - begin]
            logprobs = torch.log_softmax(row, 0)
            one = logprobs[ids[token]]
            before = (logprobs > one + RANK_TOLERANCE).sum()
            at_most = (logprobs > one - RANK_TOLERANCE).sum()
            entropy = -(logprobs.exp() * logprobs).sum()
            found.append((one, entropy, before + 1, at_most, *logprobs.topk(SCORE_TOP).values))
        held = end
        if end == len(ids):
            break
    table = np.array([[float(value) for value in row] for row in found])
    assert len(table) == len(ids) - 1
    return {
        f"{shape.name}:logprobs": table[:, 0].astype(np.float32),
        f"{shape.name}:entropies": table[:, 1].astype(np.float32),
        f"{shape.name}:ranks": table[:, 2:4].astype(np.uint16),
        f"{shape.name}:top": table[-100:, 4:].astype(np.float32),
    }


def main() -> None:
    """All texts into one file."""
    found: Arrays = {}
    for shape in SHAPES:
        if shape.name in SCORE_LENGTHS:
            print(shape.name)
            found |= scores(shape)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    np.savez_compressed(GOLDEN_FOLDER / "score.npz", allow_pickle=False, made_with=np.array(versions), **found)


if __name__ == "__main__":
    main()

"""How fast a text is scored, beside a prompt of 512 tokens with the logits of every position: GPT-2 124M, in turns.

python tests/reference/measure_score.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from sg_core import GPT2, GPT2Config

PROMPT = 512
SCORED = 2944  # three windows of 1,024 that overlap by 64
ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    """What it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print both rates of each round; then of the fastest of each side, and the median of the ratios."""
    model = GPT2.random(GPT2Config.gpt2(), seed=0)
    ids = np.random.default_rng(0).integers(0, model.config.vocab_size, SCORED).astype(np.int32)
    model.score(ids[:PROMPT])  # compiled and warm
    model.logits(ids[:PROMPT])
    prompts, scores = [], []
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS):
        prompts.append(PROMPT / seconds(lambda: model.logits(ids[:PROMPT])))
        scores.append(SCORED / seconds(lambda: model.score(ids)))
        ratio = scores[-1] / prompts[-1]
        print(f"prompt {prompts[-1]:,.0f} tokens/s, score {scores[-1]:,.0f}: {ratio:.2f}", flush=True)
    middle = statistics.median(score / prompt for prompt, score in zip(prompts, scores, strict=True))
    print(f"fastest of each {max(scores) / max(prompts):.2f}, median ratio {middle:.2f}")


if __name__ == "__main__":
    main()

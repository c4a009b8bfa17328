"""What it brings to ask for no probabilities: greedy tokens of GPT-2 124M with random weights, in turns.

python tests/reference/measure_screen.py [PRECISION [ROUNDS]]
"""

from __future__ import annotations

import statistics
import sys
from unittest.mock import patch

from sg_core.config import GPT2Config
from sg_core.gpt2 import GPT2
from sg_core.inference.sampling import Sampling
from sg_core.inference.session import Session
from sg_core.network.screen import Screen

TOKENS = 24  # a round, the first two of which are left out


def main() -> None:
    """Print ms/token with probabilities, without them, and without them by the screen: least and median of rounds."""
    precision = sys.argv[1] if len(sys.argv) > 1 else "f32"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    model = GPT2.random(GPT2Config.gpt2(), seed=1)
    session = model.session(precision=precision)
    kinds = {"probabilities": (True, False), "none, whole": (False, False), "none, screened": (False, True)}
    found: dict[str, list[float]] = {name: [] for name in kinds}
    texts = set()
    for turn in range(rounds + 1):
        for name, (logprobs, screened) in kinds.items():
            ms, text = _round(session, logprobs, screened)
            texts.add(text)
            if turn:  # the first compiles
                found[name].append(ms)
    print(f"{precision}, {session.threads} threads, {rounds} rounds; texts: {len(texts)}")
    whole = statistics.median(found["probabilities"])
    for name, times in found.items():
        median = statistics.median(times)
        print(f"{name:15} least {min(times):7.3f}, median {median:7.3f} ms/token, {median / whole:.3f} of the first")
    print(f"held for it: {model.head_screen(model.weights(precision)).nbytes / 1e6:,.1f} MB")


def _round(session: Session, logprobs: bool, screened: bool) -> tuple[float, tuple[int, ...]]:
    """ms/token, the median of a text's, and its ids."""
    session.rewind(0)
    fits = Screen.fits if screened else lambda screen, weights: False
    with patch.object(Screen, "fits", fits):
        tokens = list(session.generate([50256], TOKENS, Sampling(temperature=0.0), logprobs=logprobs))
    return statistics.median(token.ms for token in tokens[2:]), tuple(token.id for token in tokens)


if __name__ == "__main__":
    main()

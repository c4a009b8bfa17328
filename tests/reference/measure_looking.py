"""What looking at blocks costs a training: the time of looks beside that of the steps they stand between.

    python tests/reference/measure_looking.py [--model tinyshakespeare|gpt2] [--batch 8] [--context 128] [--rounds 40]

Both sides are of the same run on the same busy machine; their medians make the share.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.engine.commands import Train

EVERY = Train().watch_every  # steps between two looks in the app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tinyshakespeare")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    if args.model == "gpt2":
        model = GPT2.random(GPT2Config.gpt2(), seed=0)
    else:
        model = GPT2.from_pretrained(args.model)
    ids = np.random.default_rng(0).integers(0, model.config.vocab_size, 100_000).astype(np.int32)
    settings = TrainingConfig(
        steps=10**6, batch_size=args.batch, context=args.context, evaluate_every=0, save_every=0
    )  # fmt: skip
    trainer = Trainer(model, TextDataset("random", ids, ids[:1000], 300_000, 3000), settings)
    looks, took = [], [0.0]

    def timed(function: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            began = time.perf_counter()
            function(*arguments)
            took[0] += time.perf_counter() - began

        return call

    trainer.watch.every = 1
    trainer.watch.before = timed(trainer.watch.before)  # type: ignore[method-assign]
    trainer.watch.after = timed(trainer.watch.after)  # type: ignore[method-assign]
    trainer.step()
    steps = []
    for _ in range(args.rounds):
        took[0], began = 0.0, time.perf_counter()
        trainer.step()
        steps.append(time.perf_counter() - began - took[0])
        looks.append(took[0])
    step, look = statistics.median(steps), statistics.median(looks)
    print(
        f"{args.model}, {args.batch} x {args.context}: a step {step * 1e3:.2f} ms, a look {look * 1e3:.3f} ms; "
        f"every {EVERY} steps {look / step / EVERY:.2%} of a step"
    )


if __name__ == "__main__":
    main()

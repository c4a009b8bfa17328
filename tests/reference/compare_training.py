"""One training step, forward + backward + clipping + AdamW, here and in PyTorch: in turns, in one process.

pip install torch transformers && python tests/reference/compare_training.py --threads 2

PyTorch runs transformers' GPT-2 with scaled_dot_product_attention and the fused AdamW, without dropout, on the same
number of threads. A side's figure is the median of its steps; ratio: PyTorch's time by ours.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig


@dataclass(frozen=True, slots=True)
class Case:
    """Sizes of a model and of its batch."""

    config: GPT2Config
    batch: int
    length: int


CASES = {
    "124M": Case(GPT2Config.gpt2(), 4, 64),
    "4x128": Case(GPT2Config(vocab_size=65, n_ctx=64, n_layer=4, n_head=4, n_embd=128), 12, 64),
    "6x384": Case(GPT2Config(vocab_size=65, n_ctx=256, n_layer=6, n_head=6, n_embd=384), 16, 256),
    "shipped": Case(GPT2Config(vocab_size=1024, n_ctx=128, n_layer=4, n_head=4, n_embd=256), 8, 128),
}


def our_step(case: Case, threads: int) -> Callable[[], object]:
    """A Trainer's step on random tokens."""
    ids = np.random.default_rng(0).integers(0, case.config.vocab_size, 20_000).astype(np.int32)
    settings = TrainingConfig(steps=10_000, batch_size=case.batch, context=case.length, dropout=0.0)
    data = TextDataset("random", ids, ids[:2000], 20_000, 2000)
    return Trainer(GPT2.random(case.config), data, settings, threads).step


def torch_step(case: Case) -> Callable[[], object]:
    """The same in PyTorch."""
    sizes = case.config
    config = transformers.GPT2Config(
        vocab_size=sizes.vocab_size, n_positions=sizes.n_ctx, n_embd=sizes.n_embd, n_layer=sizes.n_layer,
        n_head=sizes.n_head, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, attn_implementation="sdpa",
    )  # fmt: skip
    model: Any = transformers.GPT2LMHeadModel(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    ids = torch.randint(0, sizes.vocab_size, (case.batch, case.length + 1))

    def step() -> object:
        logits = model(ids[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, sizes.vocab_size), ids[:, 1:].reshape(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each case")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    for name in args.cases or CASES:
        sides = {"here": our_step(CASES[name], args.threads), "PyTorch": torch_step(CASES[name])}
        times: dict[str, list[float]] = {side: [] for side in sides}
        began, rounds = time.perf_counter(), 0
        while time.perf_counter() - began < args.seconds or rounds < 5:
            for side, step in sides.items():
                time.sleep(0.02)  # the other side's threads come to rest
                step_began = time.perf_counter()
                step()
                times[side].append((time.perf_counter() - step_began) * 1e3)
            rounds += 1
        here, there = (statistics.median(times[side][2:]) for side in sides)  # after the first: caches, allocators
        print(f"{name:8} here {here:8.1f} ms   PyTorch {there:8.1f} ms   ratio {there / here:.2f}   {rounds} rounds")


if __name__ == "__main__":
    main()

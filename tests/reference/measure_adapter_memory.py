"""The memory that training an adapter takes: a random GPT-2 in a precision, a few steps of one window of 128 tokens.

python tests/reference/measure_adapter_memory.py gpt2_xl int8
"""

from __future__ import annotations

import argparse

import numpy as np

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.measure.benchmark import peak_memory
from sg_core.training.memory_plan import plan_memory

LORA = "r=8,alpha=16,targets=c_attn"


def main() -> None:
    """Print the plan, and the peak of the resident memory after the model was made and after three steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=("gpt2", "gpt2_medium", "gpt2_large", "gpt2_xl"))
    parser.add_argument("precision", choices=("f32", "bf16", "int8"))
    args = parser.parse_args()
    config = getattr(GPT2Config, args.size)()
    settings = TrainingConfig(
        steps=3, batch_size=1, context=128, evaluate_every=0, lora=LORA, precision=args.precision
    )  # fmt: skip
    print(f"plan: {plan_memory(config, settings)}")
    model = GPT2.random(config, precision=args.precision)
    print(f"the model is made: {peak_memory() / 1e9:.2f} GB")
    ids = np.random.default_rng(0).integers(0, config.vocab_size, 4000).astype(np.int32)
    trainer = Trainer(model, TextDataset("random", ids, ids[:400], 4000, 400), settings)
    while not trainer.finished:
        loss = trainer.step().loss
        print(f"step {trainer.step_count}: loss {loss:.3f}, {peak_memory() / 1e9:.2f} GB", flush=True)


if __name__ == "__main__":
    main()

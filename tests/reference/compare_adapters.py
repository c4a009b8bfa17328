"""An adapter that was trained here, in PEFT, and one of PEFT's here: the largest difference between their logits.

pip install torch transformers peft && python tests/reference/compare_adapters.py [MODEL FOLDER]

MODEL, a folder, is by default a small random one. The adapter of PEFT is one after ten steps of its own training.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
import transformers

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.training.export import export_adapter

TOLERANCE = 1e-4  # of a logit
LORA = "r=8,alpha=16,dropout=0.05,targets=c_attn,c_proj,c_fc"


def logits(model: Any, ids: list[int]) -> Any:
    """Of transformers' model, (T, V)."""
    with torch.no_grad():
        return model.eval()(torch.tensor([ids])).logits[0].numpy()


def trained_here(base: Path, folder: Path) -> None:
    """Ten steps here; the adapter in `folder`/adapter."""
    model = GPT2.from_pretrained(base)
    ids = np.random.default_rng(0).integers(0, model.config.vocab_size, 4000).astype(np.int32)
    settings = TrainingConfig(steps=10, batch_size=2, context=16, learning_rate=1e-2, warmup_steps=0, lora=LORA)
    trainer = Trainer(model, TextDataset("random", ids, ids[:400], 4000, 400), settings)
    for _ in range(10):
        trainer.step()
    export_adapter(trainer, folder)


def trained_by_peft(base: Path, folder: Path) -> None:
    """Ten steps of PEFT; the adapter in `folder`."""
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear", fan_in_fan_out=True, use_rslora=True
    )
    model: Any = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(base), config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    ids = torch.randint(0, model.config.vocab_size, (2, 17))
    for _ in range(10):
        model(ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)


def main() -> None:
    """Compare both ways; ends with 1 where a difference is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    given = parser.parse_args().model
    with tempfile.TemporaryDirectory() as room:
        base, ours, theirs = Path(given or Path(room) / "base"), Path(room) / "ours", Path(room) / "theirs"
        if given is None:
            GPT2.random(GPT2Config(vocab_size=300, n_ctx=64, n_layer=3, n_head=4, n_embd=64)).save_pretrained(base)
        trained_here(base, ours)
        trained_by_peft(base, theirs)
        worst = 0.0
        for name, folder in (("trained here", ours / "adapter"), ("trained by PEFT", theirs)):
            model = GPT2.from_pretrained(base)
            ids = np.random.default_rng(1).integers(0, model.config.vocab_size, 32).tolist()
            bare = model.logits(ids)
            model.load_adapter(folder)
            plain = transformers.AutoModelForCausalLM.from_pretrained(base)
            there = logits(peft.PeftModel.from_pretrained(plain, folder), ids)
            difference = float(np.abs(model.logits(ids) - there).max())
            print(f"{name}: logits differ by {difference:.1e} at most, the adapter moves them by "
                  f"{np.abs(there - bare).max():.2f}")  # fmt: skip
            worst = max(worst, difference)
    raise SystemExit(worst >= TOLERANCE)


if __name__ == "__main__":
    main()

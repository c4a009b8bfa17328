"""Make `golden/adapter-*`, adapters with PEFT's own files, and `golden/adapters.npz`, what they do:

pip install torch transformers peft && python tests/reference/make_adapter_golden.py
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import peft
import torch
from make_golden import loss_of, reference_model  # type: ignore[import-not-found, unused-ignore]
from recipe import (  # type: ignore[import-not-found, unused-ignore]
    ADAPTER_SHAPE,
    ADAPTER_STACK,
    ADAPTERS,
    GOLDEN_FOLDER,
    SHAPES,
    batch,
    uniform,
)

SHAPE = next(shape for shape in SHAPES if shape.name == ADAPTER_SHAPE)


def adapted(name: str) -> Any:
    """The reference model with one adapter, whose factors come from the recipe's stream."""
    config = peft.LoraConfig(task_type="CAUSAL_LM", fan_in_fan_out=True, **ADAPTERS[name])
    model = peft.get_peft_model(reference_model(SHAPE, torch.float32), config)
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "lora_" in key:
                value.copy_(torch.from_numpy(uniform(SHAPE.seed, f"{name} {key}", tuple(value.shape), 0.15)))
    return model.eval()


def logits(model: Any) -> npt.NDArray[np.float32]:
    """Of the first row of the first batch."""
    with torch.no_grad():
        found: npt.NDArray[np.float32] = model(torch.from_numpy(batch(SHAPE, 0)[0][:1])).logits[0].numpy()
    return found


def main() -> None:
    """Write everything."""
    found: dict[str, Any] = {}
    for name in ADAPTERS:
        model = adapted(name)
        folder = GOLDEN_FOLDER / f"adapter-{name}"
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # a card to be filled in
        told = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        (folder / "adapter_config.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", "utf-8")
        found[f"{name} logits"] = logits(model)
        loss = loss_of(model, SHAPE, 0)
        loss.backward()
        found[f"{name} loss"] = np.float64(loss.item())
        for key, value in model.named_parameters():
            if value.grad is not None:
                found[f"{name} {key.replace('.default', '')}"] = value.grad.numpy()
    whole = reference_model(SHAPE, torch.float32)
    for name in ADAPTER_STACK:
        whole = peft.PeftModel.from_pretrained(whole, GOLDEN_FOLDER / f"adapter-{name}").merge_and_unload()
    found["stack logits"] = logits(whole)
    np.savez_compressed(GOLDEN_FOLDER / "adapters.npz", **found)


if __name__ == "__main__":
    main()

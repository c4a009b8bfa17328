"""Golden values of Muon and of the distillation loss, by PyTorch in double precision.

Run with a Python that has torch: python tests/reference/make_recipe_golden.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

OUT = Path(__file__).parent / "golden" / "recipe.npz"
SHAPES = ((24, 24), (40, 24), (24, 40))
RATE, DECAY, MOMENTUM, STEPS = 0.02, 0.5, 0.95, 3
MIX, TEMPERATURE = 0.3, 2.0


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Five steps of the quintic iteration of Muon, as its author published it, without bfloat16."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def muon(weight: torch.Tensor, gradients: list[torch.Tensor]) -> torch.Tensor:
    momentum = torch.zeros_like(weight)
    for gradient in gradients:
        momentum.lerp_(gradient, 1 - MOMENTUM)
        update = orthogonal(gradient.lerp(momentum, MOMENTUM))
        weight = weight * (1 - RATE * DECAY) - RATE * 0.2 * max(weight.shape) ** 0.5 * update
    return weight


def main() -> None:
    draw = np.random.default_rng(11)
    values: dict[str, Any] = {}
    for number, shape in enumerate(SHAPES):
        weight = draw.standard_normal(shape).astype(np.float32)
        gradients = draw.standard_normal((STEPS, *shape)).astype(np.float32)
        result = muon(torch.tensor(weight).double(), list(torch.tensor(gradients).double()))
        package = torch.nn.Parameter(torch.tensor(weight))
        theirs = torch.optim.Muon(
            [package], lr=RATE, weight_decay=DECAY, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw"
        )
        for gradient in gradients:
            package.grad = torch.tensor(gradient)
            theirs.step()
        apart = (package.detach().double() - result).abs().max().item()
        assert apart < 0.02 * STEPS * RATE * max(shape) ** 0.5, apart  # torch iterates in bfloat16
        values |= {f"weight{number}": weight, f"gradients{number}": gradients, f"after{number}": result.float().numpy()}
    logits = (3 * draw.standard_normal((6, 11))).astype(np.float32)
    teachers = (3 * draw.standard_normal((2, 6, 11))).astype(np.float32)
    targets = draw.integers(0, 11, 6).astype(np.int32)
    student = torch.tensor(logits).double().requires_grad_()
    soft = torch.softmax(torch.tensor(teachers).double() / TEMPERATURE, -1).mean(0)
    own = torch.nn.functional.cross_entropy(student, torch.tensor(targets).long(), reduction="none")
    cool = torch.log_softmax(student / TEMPERATURE, -1)
    far = torch.nn.functional.kl_div(cool, soft, reduction="none").sum(-1)
    loss = (1 - MIX) * own + MIX * TEMPERATURE**2 * far
    loss.sum().backward()
    values |= {"logits": logits, "teachers": teachers, "targets": targets, "soft": soft.float().numpy()}
    values |= {"losses": loss.detach().numpy(), "dlogits": student.grad.float().numpy()}
    np.savez_compressed(OUT, **values)


if __name__ == "__main__":
    main()

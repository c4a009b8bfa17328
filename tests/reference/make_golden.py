"""Make `golden/*.npz` with PyTorch and transformers, which the project itself does not need:

pip install torch transformers && python tests/reference/make_golden.py [NAME ...]
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from recipe import (  # type: ignore[import-not-found, unused-ignore]
    GOLDEN_FOLDER,
    GREEDY_TOKENS,
    SCHEDULE,
    SHAPES,
    Shape,
    batch,
    parameters,
    prompt_ids,
    sketch,
)

LEAST_MARGIN = 1e-3  # ten times the tolerance of the logits: a correct engine can't choose another token


def reference_model(shape: Shape, dtype: Any) -> Any:
    """transformers' GPT-2 with the recipe's weights: eager attention, no dropout."""
    transformers.logging.set_verbosity_error()
    config = transformers.GPT2Config(
        **shape.config, n_positions=shape.n_ctx, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        attn_implementation="eager",
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config).eval()
    made = parameters(shape)
    expected = {name: tuple(value.shape) for name, value in model.named_parameters()}
    assert expected == {name: value.shape for name, value in made.items()}
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.from_numpy(made[name]))
    return model.to(dtype)


def loss_of(model: Any, shape: Shape, step: int) -> Any:
    """Mean cross-entropy of the step's batch, in nats."""
    inputs, targets = (torch.from_numpy(ids) for ids in batch(shape, step))
    logits = model(inputs).logits
    return torch.nn.functional.cross_entropy(logits.reshape(-1, shape.vocab_size), targets.reshape(-1))


def forward_and_gradients(shape: Shape) -> dict[str, npt.NDArray[Any]]:
    """Of the first batch: logits of its first row, its loss, its gradients or their sketches and norms."""
    model = reference_model(shape, torch.float32)
    with torch.no_grad():
        logits = model(torch.from_numpy(batch(shape, 0)[0][:1])).logits[0].numpy()
    loss = loss_of(model, shape, 0)
    loss.backward()
    found = {"logits": logits[:, :: shape.logit_stride].copy(), "loss": np.float64(loss.item())}
    for name, value in model.named_parameters():
        gradient = value.grad.numpy()
        found[f"norm:{name}"] = np.linalg.norm(gradient.astype(np.float64))
        found[f"sketch:{name}"] = sketch(name, gradient)
        if shape.full_gradients:
            found[f"gradient:{name}"] = gradient
    return found


def greedy_text(shape: Shape) -> npt.NDArray[np.int64]:
    """200 greedy tokens after the prompt. Fails when two tokens were nearly tied: choose another seed."""
    model = reference_model(shape, torch.float32)
    ids = prompt_ids(shape)
    margin = float("inf")
    with torch.no_grad():
        for _ in range(GREEDY_TOKENS):
            best = torch.topk(model(torch.tensor([ids])).logits[0, -1], 2)
            margin = min(margin, float(best.values[0] - best.values[1]))
            ids.append(int(best.indices[0]))
    new = ids[-GREEDY_TOKENS:]
    print(f"  greedy: {len(set(new))} different tokens, least margin {margin:.2g}")
    assert margin > LEAST_MARGIN, f"{shape.name}: two tokens nearly tied ({margin:.2g})"
    return np.array(new)


def train(shape: Shape, dtype: Any) -> list[list[float]]:
    """[losses, gradient norms before clipping] of ten AdamW steps."""
    model = reference_model(shape, dtype)
    matrices = [value for value in model.parameters() if value.ndim >= 2]
    vectors = [value for value in model.parameters() if value.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": SCHEDULE.weight_decay},
         {"params": vectors, "weight_decay": 0.0}],
        betas=(SCHEDULE.beta1, SCHEDULE.beta2), eps=SCHEDULE.epsilon,
    )  # fmt: skip
    losses, norms = [], []
    for step in range(SCHEDULE.steps):
        for group in optimizer.param_groups:
            group["lr"] = SCHEDULE.lr(step)
        optimizer.zero_grad()
        loss = loss_of(model, shape, step)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), SCHEDULE.clip_norm)))
        optimizer.step()
        losses.append(loss.item())
    return [losses, norms]


def main() -> None:
    GOLDEN_FOLDER.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or [shape.name for shape in SHAPES]
    for shape in (shape for shape in SHAPES if shape.name in wanted):
        print(shape.name)
        found = forward_and_gradients(shape)
        if shape.greedy:
            found["greedy"] = greedy_text(shape)
        found["losses"], found["norms"] = (np.array(row) for row in train(shape, torch.float32))
        exact = train(shape, torch.float64)[0]
        off = np.abs(found["losses"] - exact).max()
        print(f"  losses {found['losses'].round(4)}, float32 is off by {off:.1g}")
        versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
        found["made_with"] = np.array(versions)
        np.savez_compressed(GOLDEN_FOLDER / f"{shape.name}.npz", allow_pickle=False, **found)


if __name__ == "__main__":
    main()

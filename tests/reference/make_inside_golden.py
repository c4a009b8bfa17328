"""Make `golden/inside-*.npz`, what happens inside, with PyTorch and transformers, by hooks:

pip install torch transformers && python tests/reference/make_inside_golden.py
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
    INSIDE_LENGTH,
    INSIDE_SHAPES,
    SHAPES,
    Shape,
    batch,
    inside_interventions,
)

Arrays = dict[str, npt.NDArray[Any]]


def inside(shape: Shape) -> Arrays:
    """Every activation of one text, by TransformerLens' names and shapes."""
    model = reference_model(shape, torch.float32)
    ids = torch.from_numpy(batch(shape, 0)[0][:1, :INSIDE_LENGTH])
    T, NH, hs = INSIDE_LENGTH, shape.n_head, shape.n_embd // shape.n_head
    found: dict[str, Any] = {}

    def output(name: str) -> Any:
        return lambda module, given, result: found.update({name: result[0] if isinstance(result, tuple) else result})

    def given(name: str) -> Any:
        return lambda module, given: found.update({name: given[0]})

    body = model.transformer
    body.wte.register_forward_hook(output("hook_embed"))
    body.wpe.register_forward_hook(output("hook_pos_embed"))
    body.ln_f.register_forward_pre_hook(given("ln_final.in"))
    for layer, block in enumerate(body.h):
        start = f"blocks.{layer}."
        block.register_forward_pre_hook(given(f"{start}hook_resid_pre"))
        block.register_forward_hook(output(f"{start}hook_resid_post"))
        block.ln_1.register_forward_pre_hook(given(f"{start}ln1.in"))
        block.ln_2.register_forward_pre_hook(given(f"{start}hook_resid_mid"))
        block.ln_2.register_forward_pre_hook(given(f"{start}ln2.in"))
        block.attn.c_attn.register_forward_hook(output(f"{start}qkv"))
        block.attn.c_proj.register_forward_pre_hook(given(f"{start}attn.hook_z"))
        block.attn.c_proj.register_forward_hook(output(f"{start}hook_attn_out"))
        block.mlp.c_fc.register_forward_hook(output(f"{start}mlp.hook_pre"))
        block.mlp.c_proj.register_forward_pre_hook(given(f"{start}mlp.hook_post"))
        block.mlp.register_forward_hook(output(f"{start}hook_mlp_out"))
    with torch.no_grad():
        result = model(ids, output_attentions=True)
        for name in [name for name in found if name.endswith(".in")]:
            x, stem = found.pop(name), name.removesuffix(".in")
            found[f"{stem}.hook_normalized"] = torch.nn.functional.layer_norm(
                x, (shape.n_embd,), eps=shape.layer_norm_epsilon
            )
            variance = x.double().var(-1, unbiased=False, keepdim=True)
            found[f"{stem}.hook_scale"] = (variance + shape.layer_norm_epsilon).sqrt()
        above = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        for layer in range(shape.n_layer):
            start = f"blocks.{layer}."
            q, k, v = (part.view(1, T, NH, hs) for part in found.pop(f"{start}qkv").split(shape.n_embd, dim=2))
            found |= {f"{start}attn.hook_{name}": value for name, value in (("q", q), ("k", k), ("v", v))}
            scores = torch.einsum("bqhd,bkhd->bhqk", q.double(), k.double())
            scores /= hs**0.5 if shape.scale_attn_weights else 1.0
            scores /= layer + 1 if shape.scale_attn_by_inverse_layer_idx else 1.0
            found[f"{start}attn.hook_attn_scores"] = scores.masked_fill(above, float("-inf"))
            found[f"{start}attn.hook_pattern"] = result.attentions[layer]
            found[f"{start}attn.hook_z"] = found[f"{start}attn.hook_z"].view(1, T, NH, hs)
    return {name: value.squeeze(0).numpy().astype(np.float32) for name, value in found.items()}


def changed_logits(shape: Shape) -> Arrays:
    """Logits of the text under each of the recipe's interventions."""
    found: Arrays = {}
    ids = torch.from_numpy(batch(shape, 0)[0][:1, :INSIDE_LENGTH])
    hs = shape.n_embd // shape.n_head
    for name, (what, layer, argument, array) in inside_interventions(shape).items():
        model = reference_model(shape, torch.float32)
        block = model.transformer.h[layer]
        values = torch.from_numpy(array)

        def mute(module: Any, given: Any, head: int = argument) -> Any:
            z = given[0].clone()
            z[..., head * hs : (head + 1) * hs] = 0.0
            return (z,)

        def weaken(module: Any, given: Any, result: Any, factor: float = argument) -> Any:
            return result * factor

        def add(module: Any, given: Any, result: Any, values: Any = values) -> Any:
            return (result[0] + values, *result[1:]) if isinstance(result, tuple) else result + values

        def replace(module: Any, given: Any, result: Any, position: int = argument, values: Any = values) -> Any:
            changed = result.clone()
            changed[:, position, : shape.n_embd] = values  # the queries
            return changed

        if what == "scale_head":
            block.attn.c_proj.register_forward_pre_hook(mute)
        elif what == "scale_mlp":
            block.mlp.register_forward_hook(weaken)
        elif what == "add":
            block.register_forward_hook(add)
        else:
            block.attn.c_attn.register_forward_hook(replace)
        with torch.no_grad():
            found[f"logits:{name}"] = model(ids).logits[0].numpy()
    return found


def main() -> None:
    for shape in (shape for shape in SHAPES if shape.name in INSIDE_SHAPES):
        found = inside(shape) | changed_logits(shape)
        print(shape.name, len(found), sum(value.nbytes for value in found.values()))
        versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
        found["made_with"] = np.array(versions)
        np.savez_compressed(GOLDEN_FOLDER / f"inside-{shape.name}.npz", allow_pickle=False, **found)


if __name__ == "__main__":
    main()

"""Make `golden/lens.npz`, the logit lens and the parts of a difference of logits, by hooks in transformers:

pip install torch transformers && python tests/reference/make_lens_golden.py
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
)

Arrays = dict[str, npt.NDArray[Any]]


def found_inside(shape: Shape) -> Arrays:
    """lens (L+1, T, V): log-probabilities by row and position. parts (T-1, 3 + L*NH + L): of each next token against
    the one whose id follows its own: embedding, position, biases, heads, MLPs; difference (T-1,), of the logits."""
    model = reference_model(shape, torch.float64)
    ids = torch.from_numpy(batch(shape, 0)[0][:1, :INSIDE_LENGTH])
    C, NH = shape.n_embd, shape.n_head
    kept: dict[str, Any] = {}

    def keep(name: str) -> Any:
        return lambda module, given, result=None: kept.update(
            {name: given[0] if result is None else result[0] if isinstance(result, tuple) else result}
        )

    body = model.transformer
    body.wte.register_forward_hook(keep("embedding"))
    body.wpe.register_forward_hook(keep("position"))
    body.h[0].register_forward_pre_hook(keep("stream 0"))
    for layer, block in enumerate(body.h):
        block.register_forward_hook(keep(f"stream {layer + 1}"))
        block.attn.c_proj.register_forward_pre_hook(keep(f"z {layer}"))
        block.mlp.register_forward_hook(keep(f"mlp {layer}"))
    with torch.no_grad():
        logits = model(ids).logits[0]
        streams = [kept[f"stream {row}"][0] for row in range(shape.n_layer + 1)]
        lens = torch.stack([model.lm_head(body.ln_f(stream)).log_softmax(-1) for stream in streams])
        head, last = model.lm_head.weight, streams[-1]
        parts, differences = [], []
        for t in range(INSIDE_LENGTH - 1):
            token = int(ids[0, t + 1])
            rival = (token + 1) % shape.vocab_size
            scale = (last[t].var(unbiased=False) + shape.layer_norm_epsilon).sqrt()
            gained = body.ln_f.weight * (head[token] - head[rival])

            def share(vector: Any, gained: Any = gained, scale: Any = scale) -> float:
                return float((vector - vector.mean()) @ gained / scale)

            row = [share(kept["embedding"][0, t]), share(kept["position"].reshape(-1, C)[t])]
            biases = float(body.ln_f.bias @ (head[token] - head[rival]))
            heads, mlps = [], []
            for layer, block in enumerate(body.h):
                z, weight = kept[f"z {layer}"][0, t].view(NH, C // NH), block.attn.c_proj.weight.view(NH, C // NH, C)
                heads += [share(z[number] @ weight[number]) for number in range(NH)]
                mlps.append(share(kept[f"mlp {layer}"][0, t]))
                biases += share(block.attn.c_proj.bias)
            parts.append([*row, biases, *heads, *mlps])
            differences.append(float(logits[t, token] - logits[t, rival]))
    return {"lens": lens.float().numpy(), "parts": np.array(parts), "difference": np.array(differences)}


def main() -> None:
    found: Arrays = {}
    for shape in (shape for shape in SHAPES if shape.name in INSIDE_SHAPES):
        found |= {f"{shape.name}:{name}": value for name, value in found_inside(shape).items()}
    found["made_with"] = np.array(f"torch {torch.__version__}, transformers {transformers.__version__}")
    print(sum(value.nbytes for value in found.values()))
    np.savez_compressed(GOLDEN_FOLDER / "lens.npz", allow_pickle=False, **found)


if __name__ == "__main__":
    main()

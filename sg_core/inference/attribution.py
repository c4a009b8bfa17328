"""Why one token and not another: the difference of their logits, split over what was written into the stream.

Direct logit attribution (Elhage et al. 2021; nothing folded, nothing centred): the residual stream at the end is a sum
of the embeddings, of what each head and each MLP wrote, and of biases. With the scale of the final layer norm as it
was, the norm and the unembedding are linear, so that each part has its share in the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sg_core.network.adapters import PROJECTIONS
from sg_core.network.model import Model
from sg_core.network.parameters import HEAD_NAME, PREFIX
from sg_core.network.weights import Weights
from sg_core.types import FloatArray

Doubles = npt.NDArray[np.float64]

_PROJECTION = PROJECTIONS.index("attn.c_proj")
ATTRIBUTION_NAMES = (
    "hook_embed", "hook_pos_embed", "blocks.*.attn.hook_z", "blocks.*.hook_mlp_out", "ln_final.hook_scale",
    "ln_final.hook_normalized",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """The logit of `token` minus that of `rival`, and its parts, which sum to it.

    embedding, position: of the token before, and of where it stands. heads (L, NH), mlps (L,) with their biases;
    biases: of the attentions' projections and of the final norm. All float64.
    """

    token: int
    rival: int
    difference: float
    embedding: float
    position: float
    heads: Doubles
    mlps: Doubles
    biases: float

    @property
    def total(self) -> float:
        """The sum of the parts: the difference, as far as float32 goes, where nothing else writes into the stream."""
        return float(self.embedding + self.position + self.heads.sum() + self.mlps.sum() + self.biases)


def why(model: Model, seen: Mapping[str, FloatArray], token: int, rival: int, weights: Weights) -> Attribution:
    """Split the difference at one position. seen: what the probes of ATTRIBUTION_NAMES saw there.

    weights: those the pass was computed with. What `Interventions.add` writes into the stream is no part.
    """
    config, view = model.config, model.parameters.view
    head = PREFIX + "wte.weight" if config.tie_word_embeddings else HEAD_NAME
    toward = weights.rows(head, token, 1)[0].astype(np.float64) - weights.rows(head, rival, 1)[0]  # (C,)
    gained = view("ln_f.weight") * toward
    normalized = seen["ln_final.hook_normalized"].astype(np.float64)
    # what a vector in the stream adds to the difference: the norm takes its mean away, and divides by the scale
    direction = (gained - gained.mean()) / float(seen["ln_final.hook_scale"][0])
    adapters = [(adapter, scale * model.adapters.amount) for adapter, scale in model.adapters.stack]
    heads, mlps = np.empty((config.n_layer, config.n_head)), np.empty(config.n_layer)
    biases = float(view("ln_f.bias") @ toward)
    for layer in range(config.n_layer):
        projection = f"h.{layer}.attn.c_proj"
        back = direction.astype(np.float32) @ weights.rows(f"{PREFIX}{projection}.weight")  # (out) @ (out, in) -> (in)
        for adapter, gain in adapters:
            if adapter.ranks[layer, _PROJECTION]:
                first, second = adapter.factors(layer, _PROJECTION)  # (R, in), (R, out)
                back = back + gain * adapter.gains[layer, _PROJECTION] * ((second @ direction) @ first)
        z = seen[f"blocks.{layer}.attn.hook_z"].astype(np.float64)  # (NH, hs)
        heads[layer] = (z * back.reshape(z.shape)).sum(-1)
        mlps[layer] = seen[f"blocks.{layer}.hook_mlp_out"] @ direction
        biases += float(view(f"{projection}.bias") @ direction)
    return Attribution(
        token, rival, float(normalized @ gained + view("ln_f.bias") @ toward),
        float(seen["hook_embed"] @ direction), float(seen["hook_pos_embed"] @ direction), heads, mlps, biases,
    )  # fmt: skip

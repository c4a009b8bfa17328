"""Weights, batches and settings of the reference models, from seeds alone.

Only the outputs of the reference implementation are stored (`golden/`); both sides make its inputs here.
Numbers come from the raw 64-bit stream of PCG64, which NumPy promises never to change.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

GOLDEN_FOLDER = Path(__file__).parent / "golden"
GREEDY_TOKENS = 200
SKETCH_SIZE = 64

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """A reference model and what is asked of it. The batch of every step is (batch, length)."""

    name: str
    vocab_size: int
    n_ctx: int
    n_layer: int
    n_head: int
    n_embd: int
    batch: int
    length: int
    seed: int
    full_gradients: bool = False  # else their sketches are stored
    logit_stride: int = 1  # every so many columns of the logits are stored
    n_inner: int | None = None  # what follows are the variants that people publish, by Hugging Face's names
    activation_function: str = "gelu_new"
    tie_word_embeddings: bool = True
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    layer_norm_epsilon: float = 1e-5

    @property
    def config(self) -> dict[str, Any]:
        """What both sides call these sizes but the context, which transformers calls n_positions."""
        names = (
            "vocab_size", "n_layer", "n_head", "n_embd", "n_inner", "activation_function", "tie_word_embeddings",
            "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "layer_norm_epsilon",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    @property
    def greedy(self) -> bool:
        """Whether the context holds a prompt and 200 tokens after it."""
        return self.n_ctx > GREEDY_TOKENS + len(prompt_ids(self))

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Hugging Face's names and shapes; Conv1D weights are (in, out)."""
        C, H = self.n_embd, self.n_inner or 4 * self.n_embd
        shapes: dict[str, tuple[int, ...]] = {
            "transformer.wte.weight": (self.vocab_size, C),
            "transformer.wpe.weight": (self.n_ctx, C),
        }
        block = {
            "ln_1.weight": (C,), "ln_1.bias": (C,),
            "attn.c_attn.weight": (C, 3 * C), "attn.c_attn.bias": (3 * C,),
            "attn.c_proj.weight": (C, C), "attn.c_proj.bias": (C,),
            "ln_2.weight": (C,), "ln_2.bias": (C,),
            "mlp.c_fc.weight": (C, H), "mlp.c_fc.bias": (H,),
            "mlp.c_proj.weight": (H, C), "mlp.c_proj.bias": (C,),
        }  # fmt: skip
        for layer in range(self.n_layer):
            shapes |= {f"transformer.h.{layer}.{name}": shape for name, shape in block.items()}
        shapes |= {"transformer.ln_f.weight": (C,), "transformer.ln_f.bias": (C,)}
        return shapes if self.tie_word_embeddings else shapes | {"lm_head.weight": (self.vocab_size, C)}


SHAPES = (
    Shape("64x4", vocab_size=97, n_ctx=256, n_layer=2, n_head=4, n_embd=64, batch=3, length=32, seed=6),
    Shape("48x3", vocab_size=61, n_ctx=32, n_layer=2, n_head=3, n_embd=48, batch=2, length=32, seed=2,
          full_gradients=True),
    Shape("100x5", vocab_size=131, n_ctx=40, n_layer=3, n_head=5, n_embd=100, batch=2, length=23, seed=3),
    Shape("192x6", vocab_size=1025, n_ctx=256, n_layer=3, n_head=6, n_embd=192, batch=2, length=48, seed=10,
          logit_stride=8),
    Shape("768x12", vocab_size=50257, n_ctx=256, n_layer=2, n_head=12, n_embd=768, batch=1, length=24, seed=6,
          logit_stride=499),
    Shape("48x3-erf", vocab_size=61, n_ctx=240, n_layer=3, n_head=3, n_embd=48, batch=2, length=24, seed=4,
          n_inner=72, activation_function="gelu", tie_word_embeddings=False, scale_attn_by_inverse_layer_idx=True),
    Shape("48x3-quick", vocab_size=61, n_ctx=240, n_layer=2, n_head=3, n_embd=48, batch=2, length=24, seed=1,
          activation_function="quick_gelu", scale_attn_weights=False, layer_norm_epsilon=1e-3),
    Shape("48x3-relu", vocab_size=61, n_ctx=240, n_layer=2, n_head=3, n_embd=48, batch=2, length=24, seed=1,
          n_inner=100, activation_function="relu"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Schedule:
    """The ten AdamW steps: linear warm-up, then cosine from `lr_max` to `lr_min`."""

    steps: int = 10
    warmup: int = 3
    lr_max: float = 1e-3
    lr_min: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    weight_decay: float = 0.1  # on matrices only
    clip_norm: float = 1.0

    def lr(self, step: int) -> float:
        """Learning rate of `step`, counted from 0."""
        if step < self.warmup:
            return self.lr_max * (step + 1) / self.warmup
        turn = math.pi * (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr_min + 0.5 * (self.lr_max - self.lr_min) * (1 + math.cos(turn))


SCHEDULE = Schedule()


def stream(seed: int, what: str, count: int) -> npt.NDArray[np.uint64]:
    """`count` raw 64-bit numbers that depend on the seed and on what they are for."""
    return np.random.PCG64([seed, zlib.crc32(what.encode())]).random_raw(count)


def uniform(seed: int, what: str, shape: tuple[int, ...], std: float) -> Floats:
    """float32 numbers, uniform around 0 with this standard deviation."""
    raw = stream(seed, what, math.prod(shape)) >> np.uint64(40)  # 24 bits: exact in float32
    numbers = raw.astype(np.float32)
    numbers -= np.float32(1 << 23)
    numbers *= np.float32(std * math.sqrt(3) / (1 << 23))
    return numbers.reshape(shape)


def parameters(shape: Shape) -> dict[str, Floats]:
    """Weights far from the initialisation, so that every layer, bias and scale marks the logits."""
    made = {}
    for name, dimensions in shape.parameter_shapes().items():
        if len(dimensions) == 2:
            made[name] = uniform(shape.seed, name, dimensions, 1.2 / math.sqrt(shape.n_embd))
        elif name.endswith("bias"):
            made[name] = uniform(shape.seed, name, dimensions, 0.1)
        else:
            made[name] = 1 + uniform(shape.seed, name, dimensions, 0.2)
    return made


def batch(shape: Shape, step: int) -> tuple[Ids, Ids]:
    """Inputs and targets of one step, (B, T) each."""
    raw = stream(shape.seed, f"batch {step}", shape.batch * (shape.length + 1)) >> np.uint64(33)
    ids = (raw % np.uint64(shape.vocab_size)).astype(np.int64).reshape(shape.batch, -1)
    return ids[:, :-1], ids[:, 1:]


def prompt_ids(shape: Shape) -> list[int]:
    """The prompt of the greedy text."""
    return [7, 3, shape.vocab_size - 1, 0, 11]


def sketch(name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(64,) signed sums of a tensor's elements (count sketch, Charikar et al. 2002).

    Linear, and the norm of a sketch estimates the tensor's norm: the sketch of a difference is the difference
    of the sketches, so that every element counts in a comparison that stores 64 numbers.
    """
    flat = tensor.reshape(-1)
    raw = stream(SKETCH_SIZE, name, -(-flat.size // 64))
    signs = np.unpackbits(raw.view(np.uint8), count=flat.size).astype(np.float64) * 2 - 1
    padded = np.zeros(-(-flat.size // SKETCH_SIZE) * SKETCH_SIZE)
    np.multiply(flat, signs, out=padded[: flat.size])
    sums: npt.NDArray[np.float64] = padded.reshape(-1, SKETCH_SIZE).sum(axis=0)
    return sums


INSIDE_SHAPES = ("48x3", "48x3-erf", "48x3-quick")  # of which what happens inside is stored
INSIDE_LENGTH = 11

SCORE_LENGTHS = {"48x3": 300, "64x4": 5000, "48x3-erf": 600, "768x12": 40}  # tokens of the text each shape scores
SCORE_TOP = 8
RANK_TOLERANCE = 1e-4  # logits closer than this may stand in either order


def score_ids(shape: Shape) -> Ids:
    """(T,) the text that is scored."""
    raw = stream(shape.seed, "score", SCORE_LENGTHS[shape.name]) >> np.uint64(33)
    return (raw % np.uint64(shape.vocab_size)).astype(np.int64)


def inside_interventions(shape: Shape) -> dict[str, tuple[str, int, Any, Floats]]:
    """By name: what is done, in which layer; the head, factor or position; and a vector for those that need one."""
    vector = uniform(shape.seed, "vector", (shape.n_embd,), 1.0)
    return {
        "a head muted": ("scale_head", 1, 2, vector),
        "an MLP halved": ("scale_mlp", 0, 0.5, vector),
        "a vector added": ("add", 0, None, vector),
        "queries replaced": ("replace", 0, 4, vector),
    }


ADAPTER_SHAPE, ADAPTER_STACK = "48x3", ("plain", "many")
# adapters as PEFT is asked for them: arguments of its LoraConfig
ADAPTERS: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 8, "target_modules": ["c_attn"]},
    "many": {"r": 2, "lora_alpha": 3, "target_modules": ["c_attn", "c_proj", "c_fc"], "use_rslora": True},
    "patterns": {
        "r": 3, "lora_alpha": 6, "target_modules": ["attn.c_proj", "h.1.mlp.c_fc", "mlp.c_proj"],
        "rank_pattern": {"mlp.c_proj": 1, "h.1.mlp.c_fc": 5}, "alpha_pattern": {"attn.c_proj": 4},
    },
}  # fmt: skip

"""All float32 numbers of a model in one contiguous arena, seen through named views.

The same class holds weights, gradients and AdamW's moments, so that an update is one pass over flat arrays.
Matrices lie first (they decay in training), vectors after. A matrix is stored (out, in), each row read in one
stream; Hugging Face's Conv1D shape (in, out) is its transposed view.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.config import GPT2Config
from sg_core.errors import SettingError
from sg_core.memory import aligned
from sg_core.types import FloatArray

PREFIX = "transformer."
HEAD_NAME = "lm_head.weight"  # the unembedding, where it is not the token embedding
PIECE = 1 << 18  # numbers of a tensor that are read, drawn or converted at once: their copies stay small

# Columns of `ParameterLayout.blocks`, the places of a block's tensors in the arena.
LN1_W, LN1_B, QKV_W, QKV_B, PROJ_W, PROJ_B, LN2_W, LN2_B, FC_W, FC_B, MLP_W, MLP_B = range(12)
MATRICES = (QKV_W, PROJ_W, FC_W, MLP_W)
# Columns of `ParameterLayout.ends`: token and position embedding, final layer norm, unembedding.
WTE, WPE, LNF_W, LNF_B, HEAD = range(5)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One named tensor: its place in the arena, its shape there, and whether its public view is transposed."""

    name: str
    place: int
    shape: tuple[int, ...]
    transposed: bool

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole rows of a tensor: its numbers from `start` on, flat float32, as they lie in an arena."""

    tensor: Tensor
    start: int
    numbers: FloatArray


@dataclass(frozen=True)
class ParameterLayout:
    """Where each tensor lies."""

    tensors: tuple[Tensor, ...]  # in Hugging Face's order
    places: Mapping[str, int]  # of the same, by name
    size: int
    decayed: int  # numbers before this place belong to matrices
    blocks: npt.NDArray[np.int64]  # (L, 12)
    ends: npt.NDArray[np.int64]  # (5,)


def _block_tensors(C: int, H: int) -> list[tuple[str, tuple[int, ...]]]:
    return [
        ("ln_1.weight", (C,)), ("ln_1.bias", (C,)),
        ("attn.c_attn.weight", (3 * C, C)), ("attn.c_attn.bias", (3 * C,)),
        ("attn.c_proj.weight", (C, C)), ("attn.c_proj.bias", (C,)),
        ("ln_2.weight", (C,)), ("ln_2.bias", (C,)),
        ("mlp.c_fc.weight", (H, C)), ("mlp.c_fc.bias", (H,)),
        ("mlp.c_proj.weight", (C, H)), ("mlp.c_proj.bias", (C,)),
    ]  # fmt: skip


def whole_groups(width: int, group: int) -> int:
    """How many numbers a row of `width` takes where it is stored as whole groups."""
    return -(-width // group) * group


@lru_cache(maxsize=8)
def layout(config: GPT2Config, lean: bool = False, group: int = 1) -> ParameterLayout:
    """The arena's plan for a model of these sizes.

    lean: without what is stored elsewhere (see `weights`): all matrices but the position embedding.
    group: every row of a matrix takes a whole number of so many numbers.
    """
    C = config.n_embd
    block_tensors = _block_tensors(C, config.hidden_size)
    entries: list[tuple[str, tuple[int, ...], bool]] = [
        (f"{PREFIX}wte.weight", (config.vocab_size, C), False),
        (f"{PREFIX}wpe.weight", (config.n_ctx, C), False),
    ]
    for index in range(config.n_layer):
        entries += [(f"{PREFIX}h.{index}.{name}", shape, len(shape) == 2) for name, shape in block_tensors]
    entries += [(f"{PREFIX}ln_f.{kind}", (C,), False) for kind in ("weight", "bias")]
    if not config.tie_word_embeddings:
        entries.append((HEAD_NAME, (config.vocab_size, C), False))

    if lean:
        entries = [entry for entry in entries if len(entry[1]) == 1 or entry[0] == f"{PREFIX}wpe.weight"]

    places: dict[str, int] = {}
    position = decayed = 0
    for dimensions in (2, 1):
        for name, shape, _ in entries:
            if len(shape) == dimensions:
                places[name] = position
                position += int(np.prod(shape[:-1])) * whole_groups(shape[-1], group if dimensions == 2 else 1)
        decayed = decayed or position
    tensors = tuple(Tensor(name, places[name], shape, transposed) for name, shape, transposed in entries)
    blocks = [[places.get(f"{PREFIX}h.{i}.{name}", 0) for name, _ in block_tensors] for i in range(config.n_layer)]
    ends = [places.get(PREFIX + name, 0) for name in ("wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias")]
    ends.append(places.get(HEAD_NAME, ends[WTE]))
    return ParameterLayout(tensors, places, position, decayed, np.array(blocks, np.int64), np.array(ends, np.int64))


class Parameters(Mapping[str, FloatArray]):
    """Named float32 arrays with Hugging Face's names and shapes: writable views of one arena.

    Iterates over names with the "transformer." prefix; looks names up with or without it.
    """

    def __init__(self, config: GPT2Config, arena: FloatArray | None = None, *, lean: bool = False) -> None:
        self.config = config
        self.lean = lean  # position embedding, norms and biases only
        self.layout = layout(config, lean)
        self._arena: FloatArray = aligned(self.layout.size, zero=True) if arena is None else arena
        self.handed_out = False  # whether someone may hold a view, and so edit the numbers at any time
        self._tensors = {tensor.name: tensor for tensor in self.layout.tensors}

    def __getitem__(self, name: str) -> FloatArray:
        self.handed_out = True
        return self.view(name)

    @property
    def arena(self) -> FloatArray:
        """All numbers, flat."""
        return self._arena

    @property
    def vectors(self) -> Parameters:
        """What a pass reads beside matrices that are held elsewhere: norms, biases and the position embedding."""
        return self

    def widen(self) -> None:
        """Hold every number in float32, to be edited."""

    def in_float32(self) -> Parameters:
        """These numbers, to be read: elsewhere where they are held in fewer bits."""
        return self

    def view(self, name: str) -> FloatArray:
        """As `parameters[name]`, for those who don't keep it."""
        tensor = self._tensors.get(name) or self._tensors[PREFIX + name]
        view = self.arena[tensor.place : tensor.place + tensor.size].reshape(tensor.shape)
        return view.T if tensor.transposed else view

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: Any) -> bool:
        return name in self._tensors or f"{PREFIX}{name}" in self._tensors

    @property
    def decayed(self) -> int:
        """Numbers that decay in training, the first ones: the matrices."""
        return self.layout.decayed

    def like(self, arena: FloatArray | None = None) -> Parameters:
        """Others of the same shapes with another arena, by default zeros: gradients, moments, averages."""
        return Parameters(self.config, arena, lean=self.lean)

    def require_all(self) -> None:
        """Raises SettingError when they are lean."""
        if self.lean:
            raise SettingError("the model's weights are held in a reduced precision alone; load it in f32 for this")

    def initialize(self, seed: int) -> None:
        """GPT-2's initialisation: N(0, 0.02), the projections into the residual stream by 1/sqrt(2L) less, norms 1."""
        for piece in initial(self.config, seed):
            self.put(piece)

    def put(self, piece: Piece) -> None:
        """Take a piece of a tensor."""
        place = self._tensors[piece.tensor.name].place + piece.start
        self.arena[place : place + piece.numbers.size] = piece.numbers

    def pieces(self) -> Iterator[Piece]:
        """All of it."""
        for tensor in self.layout.tensors:
            step = piece_size(tensor)
            for start in range(0, tensor.size, step):
                place = tensor.place + start
                yield Piece(tensor, start, self.arena[place : place + min(step, tensor.size - start)])

    def initialize_small(self, seed: int) -> None:
        """As `initialize`, with embeddings from which a small model learns faster.

        Tokens: N(0, 0.05). Positions: wpe[t] = 0.05·[sin(t·f), cos(t·f)] with frequencies f from 1 to one period in
        two contexts (after Vaswani et al. 2017), learned like every parameter. On tinyshakespeare, after 500 steps of
        1,024 tokens, the validation loss was 1.76 nats a character, against 1.87 from GPT-2's own initialisation.
        """
        self.initialize(seed)
        config = self.config
        self.view("wte.weight")[...] *= np.float32(0.05 / 0.02)
        half = (config.n_embd + 1) // 2
        slowest = np.pi / max(config.n_ctx, 4)
        frequencies = np.exp(np.log(slowest) * np.arange(half) / max(1, half - 1))
        angles = np.arange(config.n_ctx)[:, None] * frequencies[None, :]  # (n_ctx, C/2)
        waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, : config.n_embd]
        self.view("wpe.weight")[...] = (0.05 * waves).astype(np.float32)


def initial(config: GPT2Config, seed: int) -> Iterator[Piece]:
    """Every tensor of `Parameters.initialize` in turn."""
    generator = np.random.Generator(np.random.PCG64(seed))
    residual = 0.02 / np.sqrt(2 * config.n_layer)
    for tensor in layout(config).tensors:
        step = piece_size(tensor)
        for start in range(0, tensor.size, step):
            count = min(step, tensor.size - start)
            if len(tensor.shape) == 2:
                flat = generator.standard_normal(count, dtype=np.float32)
                flat *= np.float32(residual if tensor.name.endswith("c_proj.weight") else 0.02)
            else:
                first = 1.0 if ".ln_" in tensor.name and tensor.name.endswith("weight") else 0.0
                flat = np.full(count, first, np.float32)
            yield Piece(tensor, start, flat)


def piece_size(tensor: Tensor) -> int:
    """Numbers of whole rows of a tensor, about PIECE of them."""
    width = tensor.shape[-1]
    return max(1, PIECE // width) * width


def stored_order(tensor: Tensor, rows: Iterable[FloatArray]) -> Iterator[Piece]:
    """A tensor in Hugging Face's shape, some of its rows at a time (all at once where it is transposed)."""
    start, width = 0, tensor.shape[-1]
    for some in rows:
        matrix = some.T if tensor.transposed else some
        step = max(1, piece_size(tensor) // width) if matrix.ndim == 2 else len(matrix)
        for row in range(0, len(matrix), step):
            numbers = np.ascontiguousarray(matrix[row : row + step]).reshape(-1)
            yield Piece(tensor, start, numbers)
            start += numbers.size

"""Weights as a session reads them, in one of the precisions.

The token embedding, the unembedding and the projections are stored anew; norms, biases and the position embedding are
read from the float32 parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sg_core.config import GPT2Config
from sg_core.errors import SettingError
from sg_core.memory import require_memory
from sg_core.network.parameters import (
    HEAD,
    MATRICES,
    WTE,
    ParameterLayout,
    Parameters,
    Piece,
    layout,
    whole_groups,
)
from sg_core.network.precisions import Precision
from sg_core.types import FloatArray, Words


@dataclass(frozen=True, slots=True)
class Weights:
    """The matrices of a model in one storage format.

    layout: where each begins. words: the stored numbers, float32, uint16 where 16 bits hold the same, else bytes.
    share: so many neighbours have one of `scales` in common. damaged: tensors that held NaN or infinite numbers.
    """

    storage: Precision
    layout: ParameterLayout
    words: Words
    scales: FloatArray
    share: int
    damaged: tuple[str, ...] = ()

    @property
    def precision(self) -> str:
        """The name of the storage."""
        return self.storage.name

    @property
    def stored(self) -> np.int64:
        """The storage as kernels are told it."""
        return np.int64(self.storage.format)

    @property
    def head(self) -> np.int64:
        """Where the unembedding begins."""
        return np.int64(self.layout.ends[HEAD])

    @property
    def head_bytes(self) -> int:
        """Of the unembedding's numbers."""
        tensor = next(one for one in self.layout.tensors if self.layout.places[one.name] == self.head)
        return tensor.size * self.storage.bits // 8

    def places(self, parameters: ParameterLayout) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """`blocks` (L, 12) and `ends` (5,) of a pass: matrices of tokens are read here, the rest in the parameters."""
        blocks, ends = parameters.blocks.copy(), parameters.ends.copy()
        blocks[:, MATRICES] = self.layout.blocks[:, MATRICES]
        ends[[WTE, HEAD]] = self.layout.ends[[WTE, HEAD]]
        return blocks, ends

    def store(self, piece: Piece) -> None:
        """Convert rows of a matrix to where they belong; each is a whole number of shares."""
        share, width = self.share, piece.tensor.shape[1]
        stride = whole_groups(width, self.storage.row_group)
        rows = piece.numbers.reshape(-1, width)
        if stride > width:
            rows = np.pad(rows, ((0, 0), (0, stride - width)))
        first = self.layout.places[piece.tensor.name] + piece.start // width * stride
        scales = self.scales[first // share : (first + rows.size) // share]
        self.storage.store(self.words, scales, first, rows.reshape(-1))

    def rows(self, name: str, first: int = 0, count: int | None = None) -> FloatArray:
        """Rows of a matrix (out, in) as float32, what the stored numbers are worth; all from `first` on by default."""
        out, width = next(tensor.shape for tensor in self.layout.tensors if tensor.name == name)
        count, stride = out - first if count is None else count, whole_groups(width, self.storage.row_group)
        start, share = self.layout.places[name] + first * stride, self.share
        scales = self.scales[start // share : (start + count * stride) // share]
        return self.storage.expand(self.words, scales, start, count * stride).reshape(count, stride)[:, :width]


def bytes_read(config: GPT2Config, storage: Precision) -> int:
    """Bytes of weights that a token reads: matrices, scales and vectors; of the embeddings' rows only the token's."""
    C, H = config.n_embd, config.hidden_size
    row, wide_row = (whole_groups(width, storage.row_group) for width in (C, H))
    matrices = config.vocab_size * row + config.n_layer * ((4 * C + H) * row + C * wide_row)
    vectors = config.n_layer * (9 * C + H) + 2 * C + 2 * C  # biases and norms, and one row of each embedding
    return storage.bytes_of(matrices, _width(config)) + 4 * vectors


def _width(config: GPT2Config) -> int:
    """Every matrix's rows are a whole number of times this long: groups that share a scale must not straddle them."""
    return math.gcd(config.n_embd, config.hidden_size)


def quantized(parameters: Parameters, precision: str) -> Weights:
    """The weights of `parameters` in this precision; f32 shares their memory. Raises SettingError."""
    storage = Precision.named(precision)
    if not storage.reduced:
        return Weights(storage, parameters.layout, parameters.arena, np.zeros(1, np.float32), 1)
    weights = unfilled(parameters.config, storage)
    for piece in parameters.pieces():
        if len(piece.tensor.shape) == 2:
            weights.store(piece)
    return weights


def converted(config: GPT2Config, precision: str, pieces: Iterable[Piece]) -> tuple[Parameters, Weights]:
    """Weights in a reduced precision of tensors that come a piece at a time.

    Their matrices exist in float32 only while they pass; the parameters are lean. Raises SettingError.
    """
    storage = Precision.named(precision)
    parameters, weights = Parameters(config, lean=True), unfilled(config, storage)
    damaged: dict[str, None] = {}
    for piece in pieces:
        name = piece.tensor.name
        if not np.isfinite(piece.numbers).all():
            damaged[name] = None
        if len(piece.tensor.shape) == 2:
            weights.store(piece)
        if name in parameters:
            parameters.put(piece)
    return parameters, replace(weights, damaged=tuple(damaged))


def unfilled(config: GPT2Config, storage: Precision) -> Weights:
    """Weights whose numbers are still to be stored."""
    plan, share = layout(config, group=storage.row_group), storage.group_size(_width(config))
    count = plan.decayed
    size = count * storage.bits // 8
    require_memory(size, f"{storage.name} weights", SettingError)
    scales = np.zeros(count // share if storage.scaled else 1, np.float32)
    return Weights(storage, plan, np.empty(size, np.uint8).view(storage.element), scales, share)

"""Weights as a session reads them: float32, bfloat16, 8 or 4 bits a number.

Only the matrices that multiply (token embedding as unembedding, the projections) are stored anew; norms, biases and
looked-up embeddings are read from the float32 parameters. int8: symmetric, one scale for n_embd neighbours (or a whole
part of them, at most 1,024). int4: one scale for 32 neighbours, offset 8.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sg_core.bfloat16 import to_bfloat16
from sg_core.config import GPT2Config
from sg_core.errors import SettingError
from sg_core.kernels.formats import BFLOAT16, FLOAT32, INT4, INT4_GROUP, INT8
from sg_core.kernels.products import K_BLOCK
from sg_core.kernels.simd import LANES
from sg_core.memory import require_memory
from sg_core.network.parameters import Parameters, Tensor, layout
from sg_core.training.settings import BITS
from sg_core.training.settings import PRECISIONS as PRECISIONS
from sg_core.types import Bytes, FloatArray

_STORED = {"f32": FLOAT32, "bf16": BFLOAT16, "int8": INT8, "int4": INT4}
_PIECE = 1 << 20  # numbers converted at once: the float32 copies of a piece stay small


@dataclass(frozen=True, slots=True)
class Weights:
    """The matrices of a model in one storage format, at the places they have in its parameters.

    words: the stored numbers, float32 or bytes. share: so many neighbours have one of `scales` in common.
    damaged: tensors that held NaN or infinite numbers.
    """

    precision: str
    stored: np.int64
    words: FloatArray | Bytes
    scales: FloatArray
    share: int
    damaged: tuple[str, ...] = ()

    def store(self, place: int, numbers: FloatArray) -> None:
        """Convert flat float32 numbers, whole rows of a matrix, to where they belong."""
        step = max(1, _PIECE // self.share) * self.share  # a matrix is a whole number of shares, and an even one
        for start in range(0, len(numbers), step):
            self._store_piece(place + start, numbers[start : start + step])

    def _store_piece(self, start: int, piece: FloatArray) -> None:
        stop = start + len(piece)
        scales = self.scales[start // self.share : stop // self.share]
        if self.precision == "bf16":
            self.words.view(np.uint16)[start:stop] = to_bfloat16(piece)
        elif self.precision == "int8":
            numbers, scales[:] = to_int8(piece.reshape(-1, self.share))
            self.words.view(np.int8)[start:stop] = numbers.reshape(-1)
        else:
            self.words[start // 2 : stop // 2], scales[:] = to_int4(piece.reshape(-1, self.share))


def check_precision(precision: str, config: GPT2Config) -> None:
    """Raises SettingError for an unknown precision, and for one that does not fit the model."""
    if precision not in PRECISIONS:
        raise SettingError(f"precision is {precision!r}; choose from {', '.join(PRECISIONS)}")
    if precision == "int4" and config.n_embd % INT4_GROUP:
        raise SettingError(
            f"int4 shares a scale among {INT4_GROUP} weights; n_embd is {config.n_embd}, not a multiple: choose int8"
        )


def bytes_read(config: GPT2Config, precision: str) -> int:
    """Bytes of weights that a token reads: matrices, scales and vectors; of the embeddings' rows only the token's."""
    C, matrices = config.n_embd, config.vocab_size * config.n_embd + 12 * config.n_layer * config.n_embd**2
    vectors = 13 * config.n_layer * C + 2 * C + 2 * C  # biases and norms, and one row of each embedding
    scales = matrices // shared_by(C, precision) if precision in ("int8", "int4") else 0
    return matrices * BITS[precision] // 8 + 4 * (scales + vectors)


def shared_by(C: int, precision: str) -> int:
    """How many neighbours have a scale in common, as many as a dot sums at once; without scales just the latter."""
    if precision == "int8":
        return next(C // parts for parts in range(-(-C // K_BLOCK), C + 1) if C % parts == 0)
    return INT4_GROUP if precision == "int4" else K_BLOCK


def quantized(parameters: Parameters, precision: str) -> Weights:
    """The weights of `parameters` in this precision; f32 shares their memory. Raises SettingError."""
    check_precision(precision, parameters.config)
    if precision == "f32":
        return Weights(precision, FLOAT32, parameters.arena, np.zeros(1, np.float32), 1)
    weights = _room(parameters.config, precision)
    weights.store(0, parameters.arena[: parameters.layout.decayed])
    return weights


def converted(
    config: GPT2Config, precision: str, tensors: Iterable[tuple[Tensor, FloatArray]]
) -> tuple[Parameters, Weights]:
    """Weights in a precision other than f32 of tensors that come one at a time, flat, as in `parameters.initial`.

    The matrices of the blocks exist in float32 only while they pass; the parameters are lean. Raises SettingError.
    """
    check_precision(precision, config)
    parameters, weights = Parameters(config, lean=True), _room(config, precision)
    damaged = []
    for tensor, numbers in tensors:
        if not np.isfinite(numbers).all():
            damaged.append(tensor.name)
        if len(tensor.shape) == 2:
            weights.store(tensor.place, numbers)
        if tensor.name in parameters:
            parameters.view(tensor.name).reshape(-1)[:] = numbers
    return parameters, replace(weights, damaged=tuple(damaged))


def _room(config: GPT2Config, precision: str) -> Weights:
    """Weights whose numbers are still to be stored."""
    count, share = layout(config).decayed, shared_by(config.n_embd, precision)
    size = count * BITS[precision] // 8
    require_memory(size, f"{precision} weights", SettingError)
    scales = np.zeros(1 if precision == "bf16" else count // share, np.float32)
    return Weights(precision, _STORED[precision], np.empty(size, np.uint8), scales, share)


def to_int8(groups: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """(n, share) numbers -> q (n, share) in -127..127 and scales (n,); each number is worth q * scale."""
    scales = np.abs(groups).max(axis=1) / np.float32(127.0)
    steps = np.where(scales > 0, scales, np.float32(1.0))
    with np.errstate(invalid="ignore"):  # of damaged weights the scale tells
        return np.rint(groups / steps[:, None]).astype(np.int8), scales


def to_int4(groups: FloatArray) -> tuple[Bytes, FloatArray]:
    """(n, 32) numbers -> packed bytes (16 n,) and scales (n,); a number is worth (q - 8) * scale, q in 0..15.

    Of several scales around that which puts the number of largest size at -8, the one with the least squared error.
    """
    places = np.arange(len(groups))
    extreme = groups[places, np.abs(groups).argmax(axis=1)]
    best_error = np.full(len(groups), np.inf, np.float32)
    best_scales = np.zeros(len(groups), np.float32)
    best = np.full(groups.shape, 8, np.uint8)
    for divisor in (-8.0, -7.0, -9.0, -7.5, -8.5):
        scales = (extreme / np.float32(divisor)).astype(np.float32)
        steps = np.where(scales != 0, scales, np.float32(1.0))
        q = np.clip(np.rint(groups / steps[:, None]) + 8, 0, 15).astype(np.uint8)
        error = np.square((q.astype(np.float32) - 8) * scales[:, None] - groups).sum(axis=1)
        better = error < best_error
        best_error[better], best_scales[better], best[better] = error[better], scales[better], q[better]
    pairs = best.reshape(-1, 2, LANES)  # what one step of a dot reads: the low halves first
    packed: Bytes = (pairs[:, 0] | (pairs[:, 1] << 4)).astype(np.uint8).reshape(-1)
    return packed, best_scales

"""Parameters whose matrices fit 16 bits: held in so many, worth the same float32 numbers, until someone edits them.

Models are often stored in float16 or bfloat16. Widened where they are multiplied, such numbers give the bits that the
same ones in float32 give, and half as many bytes are read for a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from sg_core.config import GPT2Config
from sg_core.errors import SettingError
from sg_core.memory import aligned, require_memory
from sg_core.network.parameters import Parameters, Piece, Tensor, piece_size
from sg_core.network.precisions import LOSSLESS, Precision
from sg_core.network.weights import Weights, unfilled
from sg_core.types import FloatArray


class NarrowParameters(Parameters):
    """As `Parameters`, for whom the matrices are widened to float32 when they are first asked for, and stay so.

    matrices: those of a pass, in 16 bits; None once they are wide.
    """

    def __init__(self, config: GPT2Config, storage: Precision) -> None:
        super().__init__(config, np.empty(0, np.float32))
        self.matrices: Weights | None = unfilled(config, storage)
        self._vectors = Parameters(config, lean=True)

    def __getitem__(self, name: str) -> FloatArray:
        self.widen()
        return super().__getitem__(name)

    @property
    def arena(self) -> FloatArray:
        self.widen()
        return self._arena

    @property
    def vectors(self) -> Parameters:
        return self if self.matrices is None else self._vectors

    def view(self, name: str) -> FloatArray:
        """As of any parameters; one of norms, biases and the position embedding widens nothing."""
        return super().view(name) if self.matrices is None or name not in self._vectors else self._vectors.view(name)

    def in_float32(self) -> Parameters:
        whole = Parameters(self.config, aligned(self.layout.size))
        for piece in self.pieces():
            whole.put(piece)
        return whole

    def widen(self) -> None:
        """Raises SettingError where there is no memory for it."""
        if self.matrices is None:
            return
        require_memory(4 * self.layout.size, "the model's weights in float32", SettingError)
        self._arena, self.matrices, self._vectors = self.in_float32().arena, None, self

    def put(self, piece: Piece) -> None:
        if self.matrices is None:
            super().put(piece)
        elif piece.tensor.name in self._vectors:
            self._vectors.put(piece)
        else:
            self.matrices.store(piece)

    def pieces(self) -> Iterator[Piece]:
        for tensor in self.layout.tensors:
            step = piece_size(tensor)
            for start in range(0, tensor.size, step):
                yield self.piece(tensor, start, min(step, tensor.size - start))

    def piece(self, tensor: Tensor, start: int, count: int) -> Piece:
        """Some whole rows of a tensor."""
        if self.matrices is None or tensor.name in self._vectors:
            stored = self.vectors.view(tensor.name)
            flat = (stored.T if tensor.transposed else stored).reshape(-1)
            return Piece(tensor, start, flat[start : start + count])
        width = tensor.shape[1]
        rows = self.matrices.rows(tensor.name, start // width, count // width)
        return Piece(tensor, start, rows.reshape(-1))


def gathered(config: GPT2Config, pieces: Iterable[Piece]) -> Parameters:
    """Parameters of tensors that come a piece at a time: narrow ones where all numbers of the matrices fit 16 bits."""
    fitting = LOSSLESS
    held: Parameters = NarrowParameters(config, fitting[0])
    taken: list[tuple[Tensor, int, int]] = []
    for piece in pieces:
        if isinstance(held, NarrowParameters) and piece.tensor.name not in held.vectors:
            fitting = tuple(storage for storage in fitting if storage.holds(piece.numbers))
            held = _moved(held, fitting, taken)
        held.put(piece)
        taken.append((piece.tensor, piece.start, piece.numbers.size))
    return held


def _moved(held: NarrowParameters, fitting: tuple[Precision, ...], taken: list[tuple[Tensor, int, int]]) -> Parameters:
    """The same pieces in the first storage that fits all of them, in float32 where none does."""
    assert held.matrices is not None
    if held.matrices.storage in fitting:
        return held
    new = NarrowParameters(held.config, fitting[0]) if fitting else Parameters(held.config)
    for tensor, start, count in taken:
        new.put(held.piece(tensor, start, count))
    return new

"""Memory for the numbers between the operations of a forward pass.

Shared plan: every block uses the same rows (all a decoder with a full set of optimizations needs). Kept plan: each
block has rows of its own, so that earlier positions can be computed again, or gradients taken. Recomputed plan: only
what a block gives has rows of its own, from which gradients are taken after the block is computed once more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sg_core.config import GPT2Config
from sg_core.memory import aligned

# Columns of `Activations.places`: what each operation of a block writes.
LN1, QKV, ATT, PROJ, RES1, LN2, FC, GELU, MLP, RES2 = range(10)


class Activations:
    """A float32 arena with `rows` rows for each operation; `places` (L, 10), `embedding` and `final_norm` say where."""

    def __init__(self, config: GPT2Config, rows: int, *, kept: bool, recomputed: bool = False) -> None:
        C, H = config.n_embd, config.hidden_size
        widths = np.array((C, 3 * C, C, C, C, C, H, H, C, C), np.int64) * rows
        starts = np.concatenate(([0], np.cumsum(widths)))
        block = int(starts[-1]) if kept and not recomputed else 0
        self.rows = rows
        self.embedding_width = C
        self.kept = kept
        first = 2 * rows * C
        layers = np.arange(config.n_layer, dtype=np.int64)[:, None]
        self.embedding = 0
        self.final_norm = rows * C
        self.recomputed = recomputed
        self.places: npt.NDArray[np.int64] = np.ascontiguousarray(first + layers * block + starts[None, :-1])
        size = first + int(starts[-1]) * (config.n_layer if block else 1)
        if recomputed:
            self.places[:-1, RES2] = size + layers[:-1, 0] * rows * C  # the last block's lies with its others
            size += (config.n_layer - 1) * rows * C
        self.arena = aligned(size)  # unused rows cost nothing: see `aligned`

    def final(self) -> npt.NDArray[np.float32]:
        """(rows, C) what the final layer norm gave."""
        C = self.embedding_width
        return self.arena[self.final_norm : self.final_norm + self.rows * C].reshape(self.rows, C)

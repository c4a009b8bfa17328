"""Weights of a folder are read a piece at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sg_core import GPT2, GPT2Config
from sg_core.network.parameters import PIECE, Parameters
from sg_core.storage.pretrained import read_weights


def test_a_large_tensor_comes_in_pieces_of_whole_rows(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=700, n_ctx=16, n_layer=1, n_head=2, n_embd=500, n_inner=600)
    model = GPT2.random(config, seed=2)
    model.save_pretrained(tmp_path, "F32")
    pieces = list(read_weights(tmp_path, config))
    assert max(piece.numbers.size for piece in pieces) <= PIECE
    assert all(piece.start % piece.tensor.shape[-1] == 0 for piece in pieces)
    assert len(pieces) > len(model.parameters)
    read = Parameters(config)
    for piece in pieces:
        read.put(piece)
    assert np.array_equal(read.arena, model.parameters.arena)

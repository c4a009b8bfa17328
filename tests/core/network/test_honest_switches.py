"""A switch that is off computes every position so far, one that is on the new one alone: rows written are counted.

Before a pass every number between the operations is set to a mark; a row without the mark was computed. The rows that
an operation reads may be marks then, so values mean nothing here: only which rows were written does.
"""

from __future__ import annotations

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, Optimizations, Sampling
from sg_core.inference.decoder import Decoder
from sg_core.network.activations import ATT, FC, GELU, LN1, LN2, MLP, PROJ, QKV, RES1, RES2
from sg_core.network.optimizations import TABLE

CONFIG = GPT2Config(vocab_size=40, n_ctx=64, n_layer=3, n_head=2, n_embd=32)
MARK = np.float32(-1234.5)  # no operation gives it: GELU of it is 0, norms are small, sums of two are twice as large
PROMPT, GREEDY = [5, 17, 3, 25, 9, 1, 0], Sampling(temperature=0.0)
# what each switch decides, as buffers of a block
BUFFERS = {
    "kv_cache": (QKV, ATT),
    "linear": (PROJ, FC, MLP),
    "gelu": (GELU,),
    "residual": (RES1, RES2),
    "layernorm": (LN1, LN2),
}
WIDTHS = {QKV: 3, FC: 4, GELU: 4}  # in units of n_embd; 1 elsewhere
ROW_SWITCHES = [one.name for one in TABLE if one.stage]


@pytest.fixture(scope="module")
def model() -> GPT2:
    return GPT2.random(CONFIG, seed=1)


def written_rows(decoder: Decoder, buffer: int, layer: int) -> list[int]:
    """Positions whose row of a block's buffer was written."""
    activations, width = decoder._activations, CONFIG.n_embd * WIDTHS.get(buffer, 1)
    place = activations.places[layer, buffer]
    rows = activations.arena[place : place + activations.rows * width].reshape(-1, width)
    return np.flatnonzero((rows != MARK).any(axis=1)).tolist()


def mark(decoder: Decoder) -> None:
    """Everything but the embeddings, which are only read."""
    activations = decoder._activations
    activations.arena[activations.final_norm :] = MARK


def step(model: GPT2, switches: Optimizations, tokens: int) -> tuple[Decoder, int]:
    """A decoder that has written some tokens, and one more after everything was marked; and that one's position."""
    session = model.session(switches)
    ids = [token.id for token in session.generate(PROMPT, tokens, GREEDY)]
    decoder = session.decoder
    decoder.start([*PROMPT, *ids])
    decoder.reserve(CONFIG.n_ctx)
    decoder.prefill(None, None)
    mark(decoder)
    new = len(PROMPT) + tokens - 1
    decoder._logits = np.full((1 if switches.unembedding else new + 1, CONFIG.vocab_size), MARK)
    decoder.decode()
    return decoder, new


@pytest.mark.parametrize("tokens", [1, 9, 30])
@pytest.mark.parametrize("off", ROW_SWITCHES)
def test_one_switch_off_computes_every_position_again_and_the_others_the_new_one(
    model: GPT2, off: str, tokens: int
) -> None:
    decoder, new = step(model, Optimizations().without(off), tokens)
    for switch, buffers in BUFFERS.items():
        expected = list(range(new + 1)) if switch == off else [new]
        for buffer in buffers:
            for layer in range(CONFIG.n_layer):
                assert written_rows(decoder, buffer, layer) == expected, (switch, buffer, layer)
    logits = np.flatnonzero((decoder._logits != MARK).any(axis=1)).tolist()
    assert logits == (list(range(new + 1)) if off == "unembedding" else [0])


def test_all_off_computes_everything_again(model: GPT2) -> None:
    decoder, new = step(model, Optimizations.none(), 12)
    for buffers in BUFFERS.values():
        assert all(written_rows(decoder, buffer, 1) == list(range(new + 1)) for buffer in buffers)
    assert decoder._logits.shape[0] == new + 1
    assert (decoder._logits != MARK).all()


def test_all_on_computes_the_new_position_in_memory_for_a_few(model: GPT2) -> None:
    session = model.session()
    list(session.generate(PROMPT, 5, GREEDY))
    assert session.decoder._activations.rows < CONFIG.n_ctx + 1
    session.decoder.step(3)
    mark(session.decoder)
    session.decoder.step(4)
    for buffers in BUFFERS.values():
        assert all(written_rows(session.decoder, buffer, 0) == [0] for buffer in buffers)

"""Two models side by side: each is scored as by itself, and their distributions are compared token by token."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sg_core import GPT2, GPT2Config
from sg_core.errors import SettingError
from sg_core.inference.beside import comparable, score_beside
from sg_core.types import FloatArray

CONFIG = GPT2Config(vocab_size=300, n_ctx=48, n_layer=2, n_head=2, n_embd=64)
IDS = np.random.default_rng(0).integers(0, 300, 130).tolist()


def made(seed: int) -> GPT2:
    model = GPT2.random(CONFIG, seed=seed)
    model.parameters.arena[:] += 0.1 * np.random.default_rng(seed).standard_normal(model.parameters.arena.size)
    return model


def log_softmax(logits: FloatArray) -> npt.NDArray[np.float64]:
    wide: npt.NDArray[np.float64] = logits.astype(np.float64)
    wide -= wide.max(-1, keepdims=True)
    wide -= np.log(np.exp(wide).sum(-1, keepdims=True))
    return wide


@pytest.mark.parametrize("rows", [7, 1000])  # of logits at a time
def test_scores_are_those_of_each_alone_and_the_divergence_is_that_of_its_definition(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sg_core.network.batch_pass._LOGITS_BYTES", rows * 4 * CONFIG.vocab_size)
    one, two = made(1), made(2)
    found = score_beside(one, two, None, IDS)
    for scores, model in ((found.first, one), (found.other, two)):
        alone = model.score(IDS)
        for name in ("logprobs", "ranks", "entropies", "top_ids", "top_logprobs"):
            assert np.array_equal(getattr(scores.rows, name), getattr(alone.rows, name), equal_nan=True)
    assert np.isnan(found.divergences[0])
    for place in (1, 20, 47, 48, 71, 72, 96, 129):  # windows of 48 begin at 0, 24, 48, ...
        start = 0 if place < 48 else (place - 24) // 24 * 24
        p, q = (log_softmax(model.logits(IDS[start:place]))[-1] for model in (one, two))
        # float32 logits of passes of other lengths
        assert found.divergences[place] == pytest.approx((np.exp(p) * (p - q)).sum(), abs=1e-5)
    assert found.divergence == pytest.approx(found.divergences[1:].mean())


def test_a_model_does_not_differ_from_itself_and_little_from_its_precisions() -> None:
    model = made(1)
    assert np.abs(score_beside(model, model, None, IDS).divergences[1:]).max() < 1e-12  # sums cancel but for rounding
    int8 = score_beside(model, model, None, IDS, other_precision="int8").divergences[1:]
    int4 = score_beside(model, model, None, IDS, other_precision="int4").divergences[1:]
    assert 0 < int8.mean() < int4.mean()


def test_what_can_not_be_compared_is_refused_and_a_stop_keeps_what_is_done() -> None:
    model = made(1)
    other = GPT2.random(GPT2Config(vocab_size=301, n_ctx=48, n_layer=1, n_head=1, n_embd=16))
    with pytest.raises(SettingError, match="differ in vocabulary or context"):
        score_beside(model, other, None, IDS)
    assert not comparable(model, other, None, None, "x")
    answers = iter([False, True])
    found = score_beside(model, made(2), None, IDS, cancelled=lambda: next(answers))
    assert len(found.first) == len(found.other) == len(found.divergences) == 72
    assert np.isfinite(found.divergences[1:]).all()

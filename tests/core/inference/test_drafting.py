"""Writing ahead with reduced weights: the same text bit for bit, whatever else is set, and never for long in vain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, Interventions, Optimizations, Probes, Sampling
from sg_core.inference.drafting import LENGTHS, Drafting
from sg_core.types import FloatArray

CONFIG = GPT2Config(vocab_size=97, n_ctx=40, n_layer=2, n_head=2, n_embd=64)
PROMPT = [3, 1, 4, 1, 5]
TOKENS = 90  # the window moves twice
USUAL = Optimizations()
DRAFT = USUAL.with_("draft")


@pytest.fixture(scope="module")
def model() -> GPT2:
    made = GPT2.random(CONFIG, seed=3)
    for name in made.parameters:  # larger weights: logits that differ, and a text that does not only repeat itself
        made.parameters[name][...] *= 6.0 if name.endswith("weight") and "ln" not in name else 1.0
    return made


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts are tried in every round, whatever they take here."""
    monkeypatch.setattr(Drafting, "length", lambda self, most: max((one for one in LENGTHS if one <= most), default=0))


def written(model: GPT2, switches: Optimizations, sampling: Sampling, **settings: Any) -> tuple[list[Any], Any]:
    session = model.session(switches, settings.pop("precision", "f32"), threads=settings.pop("threads", 1))
    for name, value in settings.items():
        setattr(session, name, value)
    tokens = [(token.id, token.logprob, token.top) for token in session.generate(PROMPT, TOKENS, sampling)]
    return tokens, session


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_the_text_is_the_same_bit_for_bit(model: GPT2, precision: str, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, top_p=0.97, seed=4)
    plain, _ = written(model, USUAL, sampling, precision=precision)
    drafted, session = written(model, DRAFT, sampling, precision=precision)
    assert drafted == plain
    assert session.accepted > TOKENS // 3
    assert session.rounds + session.accepted <= TOKENS


@pytest.mark.parametrize(
    "switches",
    [DRAFT.with_("lookup"), DRAFT.without("kv_cache", "gelu"), Optimizations.none().with_("draft"),
     DRAFT.without("unembedding")],
)  # fmt: skip
def test_with_any_switches(model: GPT2, switches: Optimizations) -> None:
    sampling = Sampling(temperature=0.7, repetition_penalty=1.2, seed=9)
    plain, _ = written(model, switches.alike, sampling)
    drafted, session = written(model, switches, sampling, threads=2)
    assert drafted == plain
    assert session.accepted > 0


def test_where_no_cheaper_weights_are_nothing_is_done_and_that_is_said(model: GPT2) -> None:
    sampling = Sampling(temperature=0.0)
    drafted, session = written(model, DRAFT, sampling, precision="int4")
    assert drafted == written(model, USUAL, sampling, precision="int4")[0]
    assert session.drafted == 0
    assert session.draft_note == "draft does nothing here: there are no cheaper weights than int4 of this model"
    session.precision = "f32"
    assert session.draft_note.startswith("draft: int8 weights, 0 MB more")


def test_what_is_changed_inside_is_changed_for_drafts_too(model: GPT2) -> None:
    muted = Interventions().scale_head(0, 1, 0.0).scale_mlp(1, -1.0)
    greedy = Sampling(temperature=0.0)
    plain, _ = written(model, USUAL, greedy, interventions=muted)
    drafted, session = written(model, DRAFT, greedy, interventions=muted)
    assert drafted == plain != written(model, USUAL, greedy)[0]
    assert session.accepted > session.drafted // 2  # those of the model as it was would hardly come true


def test_probes_see_the_row_whose_logits_chose_the_token(model: GPT2) -> None:
    def seen(switches: Optimizations) -> list[FloatArray]:
        session = model.session(switches, threads=1)
        session.probes = Probes("blocks.1.hook_resid_post")
        tokens = session.generate(PROMPT, 30, Sampling(temperature=0.0))
        return [token.activations["blocks.1.hook_resid_post"] for token in tokens]

    for plain, drafted in zip(seen(USUAL), seen(DRAFT), strict=True):
        assert np.array_equal(plain, drafted)


def test_processors_are_called_once_a_token_in_order(model: GPT2) -> None:
    lengths: list[int] = []

    def forbid(ids: Sequence[int], logits: FloatArray) -> None:
        lengths.append(len(ids))
        logits[::2] = -np.inf

    session = model.session(DRAFT, threads=1)
    tokens = list(session.generate(PROMPT, 30, Sampling(temperature=0.0), processors=[forbid]))
    assert all(token.id % 2 for token in tokens)
    assert lengths == list(range(len(PROMPT), len(PROMPT) + 30))


def test_an_edit_of_the_weights_reaches_the_drafts(model: GPT2) -> None:
    edited = GPT2.random(CONFIG, seed=3)
    session = edited.session(DRAFT, threads=1)
    list(session.generate(PROMPT, 20, Sampling(temperature=0.0)))
    for name in model.parameters:
        edited.parameters[name][...] = model.parameters[name]
    tokens = [token.id for token in session.generate(PROMPT, 30, Sampling(temperature=0.0))]
    fresh = [token.id for token in model.session(threads=1).generate(PROMPT, 30, Sampling(temperature=0.0))]
    assert tokens == fresh


def test_time_of_writing_ahead_is_told_and_is_part_of_the_tokens(model: GPT2) -> None:
    session = model.session(DRAFT, threads=1)
    tokens = list(session.generate(PROMPT, 30, Sampling(temperature=0.0)))
    assert any(token.op_ms["draft"] > 0 for token in tokens)
    assert all(token.op_ms["draft"] <= token.ms for token in tokens)
    plain = next(model.session(threads=1).generate(PROMPT, 1))
    assert "draft" not in plain.op_ms

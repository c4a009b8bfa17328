"""The lens and the parts of a difference equal hooks in transformers; heads are called what they do; looking leaves all
as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference_recipe import SHAPES, golden, recipe, reference_model

from sg_core import GPT2, GPT2Config, Interventions, Optimizations, Probes, Sampling
from sg_core.errors import SettingError
from sg_core.inference.attribution import ATTRIBUTION_NAMES, why
from sg_core.inference.heads import head_shares
from sg_core.inference.inside import Inside, look, measure_heads
from sg_core.inference.inspection import inspect
from sg_core.inference.lens import Lens, LensRow
from sg_core.network.adapters import new_adapter
from sg_core.network.lora_settings import LoraSettings
from sg_core.network.precisions import PRECISIONS

TOLERANCE = 1e-4  # float32 sums against float64
EXACT = Optimizations(gelu_table=False)
WARM = Sampling(temperature=0.9, seed=2)


def text(name: str) -> list[int]:
    ids: list[int] = recipe.batch(SHAPES[name], 0)[0][0, : recipe.INSIDE_LENGTH].tolist()
    return ids


def looked(model: GPT2, ids: list[int], place: int, rival: int | None = None) -> Inside:
    session = model.session(EXACT)
    session.decoder.step(*ids)
    return look(session.decoder, place, rival=rival)


@pytest.mark.parametrize("name", recipe.INSIDE_SHAPES)
def test_every_row_of_the_lens_equals_transformers(name: str) -> None:
    model, ids = reference_model(name), text(name)
    expected = np.exp(golden("lens")[f"{name}:lens"])  # (L+1, T, V)
    for place in (1, 5, len(ids) - 1):
        lens, token = looked(model, ids, place).lens, ids[place]
        assert lens.token == token
        for row, p in zip(lens.rows, expected[:, place - 1], strict=True):
            first, second = np.sort(p)[::-1][:2]
            assert abs(row.p - first) < TOLERANCE
            assert abs(row.second_p - second) < TOLERANCE
            assert abs(p[row.best] - first) < TOLERANCE
            assert abs(row.token_p - p[token]) < TOLERANCE
            assert (p > p[token] + TOLERANCE).sum() < row.rank <= (p >= p[token] - TOLERANCE).sum()


@pytest.mark.parametrize("name", recipe.INSIDE_SHAPES)
def test_the_parts_of_a_difference_equal_transformers_and_sum_to_it(name: str) -> None:
    """Also with another unembedding than the embedding, other activations and scales of attention."""
    model, ids = reference_model(name), text(name)
    parts, differences = golden("lens")[f"{name}:parts"], golden("lens")[f"{name}:difference"]
    logits = model.logits(ids)
    for place in range(1, len(ids)):
        rival = (ids[place] + 1) % model.config.vocab_size
        split = looked(model, ids, place, rival).why
        assert split is not None
        found = [split.embedding, split.position, split.biases, *split.heads.reshape(-1), *split.mlps]
        assert np.abs(np.array(found) - parts[place - 1]).max() < TOLERANCE
        assert abs(split.difference - differences[place - 1]) < TOLERANCE
        assert abs(split.total - (logits[place - 1, ids[place]] - logits[place - 1, rival])) < TOLERANCE


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_parts_sum_to_the_difference_in_every_precision_and_with_a_head_muted(precision: str) -> None:
    model, ids = reference_model("48x3"), text("48x3")
    session = model.session(EXACT, precision)
    session.interventions = Interventions().scale_head(1, 2, 0.0).scale_mlp(0, 0.5)
    session.decoder.step(*ids)
    split = look(session.decoder, 7, rival=3).why
    assert split is not None
    logits = model.logits(ids[:7], precision=precision, interventions=session.interventions)[-1]
    # beside reduced weights a number at the edge between two of 8 or 16 bits may fall to either side
    assert abs(split.total - (logits[ids[7]] - logits[3])) < (TOLERANCE if precision == "f32" else 0.02)
    assert split.heads[1, 2] == 0.0


def test_an_adapter_of_the_projection_is_a_part_of_its_heads() -> None:
    """As if it had been merged into the weights."""
    model, merged, ids = reference_model("48x3"), reference_model("48x3"), text("48x3")
    adapter = new_adapter(LoraSettings(r=2, targets=("attn.c_proj",)), model.config, seed=1)
    adapter.arena[:] = np.random.default_rng(0).standard_normal(adapter.arena.size).astype(np.float32) / 8
    model.adapters = model.adapters.with_(adapter, 0.5)
    adapter.add_to(merged.parameters, 0.5)
    _, cache = merged.run_with_cache(ids, ATTRIBUTION_NAMES)
    seen = {name: values[-1] for name, values in cache.items()}
    beside, within = (why(one, seen, 3, 5, one.weights("f32")) for one in (model, merged))
    assert np.abs(beside.heads - within.heads).max() < TOLERANCE
    assert abs(beside.total - within.difference) < TOLERANCE


def test_the_rival_is_the_likeliest_other_token() -> None:
    model, ids = reference_model("48x3"), text("48x3")
    logits = model.logits(ids)[4]
    logits[ids[5]] = -np.inf
    split = looked(model, ids, 5).why
    assert split is not None
    assert split.rival == logits.argmax()


def test_the_lead_is_taken_where_the_token_stays_first() -> None:
    row = LensRow(7, 0.5, 3, 0.2, 0.1, 1)
    rows = [replace(row, rank=rank) for rank in (1, 4, 1, 1)]
    assert Lens(7, tuple(rows)).lead == 2
    assert Lens(7, tuple(rows[:2])).lead is None
    assert Lens(7, tuple(rows[:1])).lead == 0


def test_patterns_are_those_of_a_pass_over_the_whole_text() -> None:
    model, ids = reference_model("48x3-erf"), text("48x3-erf")
    _, cache = model.run_with_cache(ids, ["blocks.*.attn.hook_pattern"])
    inside = looked(model, ids, 6)
    assert inside.ids == tuple(ids[:6])
    for layer, pattern in enumerate(inside.patterns):
        assert np.abs(pattern - cache[f"blocks.{layer}.attn.hook_pattern"][:, 5, :6]).max() < 1e-5  # probabilities


@pytest.mark.parametrize("off", [(), ("kv_cache", "linear"), ("unembedding",)], ids=lambda off: "-".join(off) or "on")
def test_looking_between_two_tokens_changes_no_bit_of_the_text(off: tuple[str, ...]) -> None:
    model, prompt = reference_model("48x3"), text("48x3") * 2
    switches = Optimizations().with_("lookup").without(*off)
    alone = list(model.session(switches).generate(prompt[:8], 20, WARM))
    session, tokens = model.session(switches), []
    for token in session.generate(prompt[:8], 20, WARM):
        tokens.append(token)
        inside = look(session.decoder, len(session.ids) - 1)
        assert inside.lens.token == token.id
        assert inside.lens.rows[-1].token_p == pytest.approx(np.exp(token.logprob), abs=1e-3)  # GELU of 16 bits
        measure_heads(session.decoder)
        look(session.decoder, 3)
    assert [(t.id, t.logprob, t.top) for t in tokens] == [(t.id, t.logprob, t.top) for t in alone]


def test_what_is_not_there_is_refused() -> None:
    session = reference_model("48x3").session()
    session.decoder.step(1, 2)
    for place in (0, 2):
        with pytest.raises(SettingError, match="place"):
            look(session.decoder, place)
    with pytest.raises(SettingError, match="rival is 61"):
        look(session.decoder, 1, rival=61)
    with pytest.raises(SettingError, match="third token"):
        measure_heads(session.decoder)
    with pytest.raises(SettingError, match="2 are computed"):
        inspect(session.decoder, 1, 3, Probes("hook_embed"))


# ---------------------------------------------------------------- what heads do

REPEATING = [5, 1, 2, 9, 5, 1, 2, 9, 5, 1]


def made(*looks: int | None) -> np.ndarray:
    """A pattern (1, T, T) all of whose weight is on one key for each query; None: spread evenly."""
    pattern = np.zeros((1, len(looks), len(looks)), np.float32)
    for query, key in enumerate(looks):
        if key is None:
            pattern[0, query, : query + 1] = 1 / (query + 1)
        else:
            pattern[0, query, key] = 1
    return pattern


@pytest.mark.parametrize(
    ("looks", "kind"),
    [
        ([0, *range(9)], "previous"),
        ([0] * 10, "first"),
        (list(range(10)), "itself"),
        ([0, 0, 0, 0, 1, 2, 3, 4, 5, 6], "repeats"),
        ([None] * 10, ""),
        ([0, 0, 0, 0, 0, 1, 2, 3, 4, 5], ""),  # on the equal token itself
    ],
)
def test_heads_are_called_what_they_do(looks: list[int | None], kind: str) -> None:
    found = head_shares([made(*looks)], REPEATING, 0)
    assert found.kind(0, 0) == kind
    assert (found.positions, found.repeats) == (8, 6)
    if kind:
        assert found.shares[0, 0].max() == pytest.approx(1.0)


def test_heads_of_the_newest_positions_alone() -> None:
    ids = [3, 1, 4, 1, 5, 9, 2, 6]
    pattern = made(0, 0, 0, 0, 3, 4, 5, 6)
    assert head_shares([pattern[:, 4:]], ids, 4).kind(0, 0) == "previous"
    assert head_shares([pattern], ids, 0).shares[0, 0, 0] == pytest.approx(4 / 6)


def test_measured_heads_are_means_of_patterns() -> None:
    model = GPT2.random(GPT2Config(vocab_size=40, n_ctx=96, n_layer=2, n_head=2, n_embd=32), seed=5)
    ids = np.random.default_rng(0).integers(0, 40, 90).tolist()
    session = model.session(EXACT)
    session.decoder.step(*ids)
    found = measure_heads(session.decoder)
    assert found.positions == 64
    _, cache = model.run_with_cache(ids, ["blocks.1.attn.hook_pattern"])
    pattern = cache["blocks.1.attn.hook_pattern"][:, 26:]
    itself = pattern[:, np.arange(64), np.arange(26, 90)].mean(axis=1)
    assert np.abs(found.shares[1, :, 2] - itself).max() < 1e-5  # probabilities

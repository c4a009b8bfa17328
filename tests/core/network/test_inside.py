"""What probes see and interventions do equals hooks in transformers; looking changes nothing."""

from __future__ import annotations

import re

import numpy as np
import pytest
from reference_recipe import SHAPES, golden, recipe, reference_model

from sg_core import GPT2, GPT2Config, Interventions, Optimizations, Probes, Sampling
from sg_core.errors import SettingError
from sg_core.network.precisions import PRECISIONS
from sg_core.network.sites import sites

TOLERANCE, PATTERN_TOLERANCE = 1e-4, 1e-5  # float32 sums in another order; probabilities are at most 1
EXACT = Optimizations(gelu_table=False)
GREEDY, WARM = Sampling(temperature=0.0), Sampling(temperature=0.9, seed=2)
OFF = [(), ("kv_cache",), ("linear", "gelu"), ("layernorm", "residual", "unembedding"), EXACT.names()]


@pytest.fixture(scope="module", params=recipe.INSIDE_SHAPES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(name: str) -> GPT2:
    return reference_model(name)


@pytest.fixture(scope="module")
def plain() -> GPT2:
    return reference_model("48x3")


def text(name: str) -> list[int]:
    ids: list[int] = recipe.batch(SHAPES[name], 0)[0][0, : recipe.INSIDE_LENGTH].tolist()
    return ids


def interventions(name: str) -> dict[str, Interventions]:
    made = {}
    for what, (kind, layer, argument, array) in recipe.inside_interventions(SHAPES[name]).items():
        none = Interventions()
        made[what] = {
            "scale_head": lambda: none.scale_head(layer, argument, 0.0),  # noqa: B023 (called at once)
            "scale_mlp": lambda: none.scale_mlp(layer, argument),  # noqa: B023
            "add": lambda: none.add(f"blocks.{layer}.hook_resid_post", array),  # noqa: B023
            "replace": lambda: none.replace(f"blocks.{layer}.attn.hook_q", argument, array),  # noqa: B023
        }[kind]()
    return made


def assert_near(found: np.ndarray, expected: np.ndarray, name: str) -> None:
    assert found.shape == expected.shape, name
    seen = np.isfinite(expected)
    assert np.array_equal(found[~seen], expected[~seen]), name  # -inf above the diagonal
    tolerance = PATTERN_TOLERANCE if name.endswith("pattern") else TOLERANCE
    assert np.abs(found[seen] - expected[seen]).max() < tolerance, name


def test_every_activation_equals_a_hook_in_transformers(name: str, model: GPT2) -> None:
    logits, cache = model.run_with_cache(text(name))
    assert list(cache) == list(sites(model.config))
    for site, array in cache.items():
        assert_near(array, golden(f"inside-{name}")[site], site)
    assert np.array_equal(logits, model.logits(text(name)))


def test_interventions_equal_hooks_in_transformers(name: str, model: GPT2) -> None:
    for what, changes in interventions(name).items():
        assert_near(model.logits(text(name), interventions=changes), golden(f"inside-{name}")[f"logits:{what}"], what)


def test_a_batch_is_its_texts_one_by_one(plain: GPT2) -> None:
    ids = recipe.batch(SHAPES["48x3"], 0)[0][:, :9]
    logits, cache = plain.run_with_cache(ids, ["blocks.1.*", "hook_embed"])
    assert logits.shape == (2, 9, 61)
    assert cache["blocks.1.attn.hook_pattern"].shape == (2, 3, 9, 9)
    for b in range(2):
        alone, inside = plain.run_with_cache(ids[b], ["blocks.1.*", "hook_embed"])
        assert np.array_equal(logits[b], alone)
        assert all(np.array_equal(cache[site][b], inside[site]) for site in cache)


def test_only_what_is_asked_for_is_kept(plain: GPT2) -> None:
    _, cache = plain.run_with_cache([1, 2, 3], ["blocks.*.attn.hook_pattern", "blocks.0.hook_mlp_out"])
    assert sorted(cache) == ["blocks.0.attn.hook_pattern", "blocks.0.hook_mlp_out", "blocks.1.attn.hook_pattern"]
    with pytest.raises(SettingError, match=re.escape("did you mean blocks.0.hook_mlp_out")):
        plain.run_with_cache([1], ["blocks.0.hook_mlp_oud"])


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
@pytest.mark.parametrize("off", OFF, ids=lambda off: "-".join(off) or "all on")
def test_looking_changes_no_token_and_shows_the_row_that_chose_it(
    plain: GPT2, off: tuple[str, ...], precision: str
) -> None:
    """Whatever the switches: with the row of a pass over the whole text that the token came from."""
    prompt = text("48x3")[:6]
    switches = Optimizations().without(*off)
    alone = list(plain.session(switches, precision).generate(prompt, 12, WARM))
    session = plain.session(switches, precision)
    session.probes = Probes("*")
    tokens = list(session.generate(prompt, 12, WARM))
    assert [(t.id, t.logprob, t.top) for t in tokens] == [(t.id, t.logprob, t.top) for t in alone]
    assert list(tokens[0].activations) == list(sites(plain.config))
    reader = plain.session(Optimizations().without("gelu_table", *off), precision)
    reader.probes = Probes("*")
    ids = [*prompt, *(t.id for t in tokens[:8])]
    exact = next(reader.generate(ids, 1, GREEDY)).activations
    whole = plain.run_with_cache(ids, precision=precision)[1]
    for site, row in exact.items():
        last = whole[site][:, -1] if site.endswith(("pattern", "scores")) else whole[site][-1]
        assert np.abs(row - last).max() < TOLERANCE, site
    if "gelu_table" in off:
        assert all(np.array_equal(tokens[8].activations[site], row) for site, row in exact.items())


def test_with_drafts_each_token_has_the_row_that_chose_it() -> None:
    model = GPT2.random(GPT2Config(vocab_size=300, n_ctx=96, n_layer=2, n_head=2, n_embd=64), seed=1)
    noise = np.random.default_rng(0).standard_normal(model.parameters.arena.size, dtype=np.float32)
    model.parameters.arena[:] += 0.1 * noise  # it soon repeats itself
    prompt, rows = [5, 17, 3, 250, 9] * 6, {}
    for lookup in (False, True):
        session = model.session(Optimizations().with_("lookup") if lookup else Optimizations())
        session.probes = Probes("blocks.1.hook_resid_post", "blocks.0.attn.hook_pattern")
        rows[lookup] = list(session.generate(prompt, 50, GREEDY))
        assert not lookup or session.lookup.accepted > 0
    for one, other in zip(rows[False], rows[True], strict=True):
        assert one.id == other.id
        assert all(np.array_equal(one.activations[site], other.activations[site]) for site in one.activations)


def test_continuations_have_their_rows(plain: GPT2) -> None:
    prompt = text("48x3")[:6]
    session = plain.session()
    session.probes = Probes("blocks.1.attn.hook_z", "blocks.1.attn.hook_pattern")
    session.interventions = Interventions().scale_head(0, 1, 0.5)
    for number, token in session.generate_many(prompt, 3, 6, WARM):
        if number == 0:
            continue
        alone = plain.session()
        alone.probes, alone.interventions = session.probes, session.interventions
        seeded = Sampling(temperature=WARM.temperature, seed=WARM.seed + number)
        same = [t for t in alone.generate(prompt, 6, seeded) if t.id == token.id and t.logprob == token.logprob]
        assert any(
            all(np.array_equal(t.activations[site], token.activations[site]) for site in token.activations)
            for t in same
        )


@pytest.mark.parametrize("precision", ["f32", "int8"])
@pytest.mark.parametrize("off", OFF, ids=lambda off: "-".join(off) or "all on")
def test_an_intervention_goes_on_as_if_it_had_always_been_there(
    plain: GPT2, off: tuple[str, ...], precision: str
) -> None:
    prompt = text("48x3")[:6]
    switches = Optimizations().without(*off)
    for what, changes in interventions("48x3").items():
        fresh = plain.session(switches, precision)
        session = plain.session(switches, precision)
        before = [(t.id, t.logprob) for t in session.generate(prompt, 5, WARM)]
        session.interventions = changes
        ids = [*prompt, *(id for id, _ in before)]
        after = [(t.id, t.logprob) for t in session.generate(ids, 6, WARM)]
        fresh.interventions = changes
        assert [(t.id, t.logprob) for t in fresh.generate(ids, 6, WARM)] == after, what
        session.interventions = Interventions()
        again = [(t.id, t.logprob) for t in session.generate(prompt, 5, WARM)]
        assert again == before
        assert after != [(t.id, t.logprob) for t in plain.session(switches, precision).generate(ids, 6, WARM)], what


def test_set_between_two_tokens_it_acts_at_the_next(plain: GPT2) -> None:
    prompt, session = text("48x3")[:6], plain.session()
    muted = Interventions().scale_head(0, 0, 0.0).scale_head(1, 2, 0.0).scale_mlp(1, 0.0)
    written = []
    for token in session.generate(prompt, 8, WARM):
        written.append(token)
        if len(written) == 3:
            session.interventions = muted
    plain_text = [t.logprob for t in plain.session().generate(prompt, 8, WARM)]
    assert [t.logprob for t in written[:3]] == plain_text[:3]
    other = plain.session()
    other.interventions = muted
    ids = [*prompt, *(t.id for t in written[:3])]
    assert [(t.id, t.logprob) for t in other.generate(ids, 5, WARM)] == [(t.id, t.logprob) for t in written[3:]]


def test_a_probe_sees_the_value_after_an_intervention_at_its_place(plain: GPT2) -> None:
    ids, vector = text("48x3"), np.arange(48, dtype=np.float32)
    changes = Interventions()
    for site in ("hook_embed", "blocks.0.ln1.hook_normalized", "blocks.1.mlp.hook_post", "ln_final.hook_normalized"):
        size = int(np.prod(sites(plain.config)[site].row_shape(plain.config, 0)))
        changes = changes.replace(site, 2, np.resize(vector, size))
    _, cache = plain.run_with_cache(ids, interventions=changes)
    for edit in changes.edits:
        assert np.array_equal(cache[edit.name][2].reshape(-1), edit.numbers), edit.name
    before = plain.run_with_cache(ids)[1]
    assert np.array_equal(cache["blocks.0.hook_resid_pre"][:2], before["blocks.0.hook_resid_pre"][:2])
    assert not np.array_equal(cache["blocks.0.hook_resid_pre"][2], before["blocks.0.hook_resid_pre"][2])


def test_a_factor_of_one_and_no_change_are_the_same_bits(plain: GPT2) -> None:
    changes = Interventions().scale_head(0, 1, 1.0).scale_mlp(1, 1.0).add("blocks.0.hook_resid_mid", np.zeros(48))
    assert np.array_equal(plain.logits(text("48x3"), interventions=changes), plain.logits(text("48x3")))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Interventions().scale_head(9, 0, 0.0), "blocks.9.attn.hook_z"),
        (lambda: Interventions().scale_head(0, 3, 0.0), "head is 3"),
        (lambda: Interventions().scale_head(0, 0, float("nan")), "factor is nan"),
        (lambda: Interventions().scale_mlp(-1, 0.0), "layer is -1"),
        (lambda: Interventions().add("blocks.0.hook_resid_post", [1.0, 2.0]), "2 numbers were given"),
        (lambda: Interventions().add("blocks.0.hook_resid_post", [float("inf")] * 48), "finite"),
        (lambda: Interventions().replace("blocks.0.attn.hook_pattern", 0, [0.0]), "looked at, not changed"),
        (lambda: Interventions().replace("hook_embed", 32, [0.0] * 48), "position is 32"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(plain: GPT2, wrong: object, words: str) -> None:
    with pytest.raises(SettingError, match=re.escape(words)):
        plain.logits([1, 2], interventions=wrong())  # type: ignore[operator]


def test_a_session_refuses_too_and_stays_as_it_was(plain: GPT2) -> None:
    session = plain.session()
    with pytest.raises(SettingError, match="nothing inside this model"):
        session.probes = Probes("blocks.7.hook_resid_post")
    with pytest.raises(SettingError, match="head is 5"):
        session.interventions = Interventions().scale_head(0, 5, 0.0)
    assert not session.probes
    assert not session.interventions
    assert next(session.generate([1, 2], 1, GREEDY)).activations == {}


@pytest.mark.parametrize("precision", PRECISIONS[:3])
def test_losses_and_logits_in_every_precision(plain: GPT2, precision: str) -> None:
    x, y = recipe.batch(SHAPES["48x3"], 0)
    logits = plain.logits(x, precision=precision).astype(np.float64)
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = plain.losses(x, y, precision=precision)
    assert losses.shape == x.shape
    assert np.abs(losses + np.take_along_axis(logprobs, y[..., None], -1)[..., 0]).max() < 1e-5  # float32 sums
    assert (precision == "f32") == np.array_equal(logits, plain.logits(x))

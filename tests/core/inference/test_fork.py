"""Forks: texts that share what they have in common, and nothing else."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sg_core import GPT2, GPT2Config, Interventions, Optimizations, Probes, Sampling, notices
from sg_core.errors import SettingError
from sg_core.inference.session import Session
from sg_core.network.forward import Pass
from sg_core.network.precisions import PRECISIONS

CONFIG = GPT2Config(vocab_size=300, n_ctx=160, n_layer=2, n_head=2, n_embd=64)
PROMPT = [5, 17, 3, 250, 9]
WARM = Sampling(temperature=0.9, top_p=0.98, seed=1)
Text = list[tuple[int, float]]


def noisy(config: GPT2Config) -> GPT2:
    model = GPT2.random(config, seed=1)
    noise = np.random.default_rng(0).standard_normal(model.parameters.arena.size, dtype=np.float32)
    model.parameters.arena[:] += 0.1 * noise  # so that every layer matters
    return model


@pytest.fixture(scope="module")
def model() -> GPT2:
    return noisy(CONFIG)


def written(session: Session, ids: list[int], count: int) -> Text:
    return [(token.id, token.logprob) for token in session.generate(ids, count, WARM)]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "switches",
    [
        Optimizations(),
        Optimizations().without("kv_cache"),
        Optimizations().without("linear", "unembedding"),
        Optimizations.none(),
        Optimizations().with_("lookup", "draft"),
    ],
    ids=["usual", "kv_cache", "linear", "none", "draft"],
)
def test_a_fork_has_the_bits_of_a_fresh_session(model: GPT2, precision: str, switches: Optimizations) -> None:
    trunk = model.session(switches, precision, threads=2)
    written(trunk, PROMPT, 130)
    ids, told = list(trunk.ids), []
    for n in (0, 1, 16, 33, 47, 100, 135):
        alternative = [*ids[:n], 7]
        fork = trunk.fork(n)
        fork.threads = 1 + n % 3
        first = written(fork, alternative, 20)
        assert first == written(model.session(switches, precision), alternative, 20), n
        twig = fork.fork(n + 15)  # of the fork's own tokens, the trunk's far below
        again = [*alternative, *(id for id, _ in first[:14]), 8]
        assert written(twig, again, 20) == written(model.session(switches, precision), again, 20), n
        told.append(fork)
    assert written(trunk, ids, 10) == written(model.session(switches, precision), ids, 10)
    for fork in told:  # nobody has touched them
        now = list(fork.ids)
        assert written(fork, now, 3) == written(model.session(switches, precision), now, 3)


STEPS = st.tuples(st.sampled_from(["write", "fork", "rewind", "switch", "precision", "drop"]), st.integers(0, 999))


@given(st.lists(STEPS, min_size=6, max_size=14))
@settings(max_examples=25, deadline=None)
def test_whatever_is_done_to_a_tree_of_forks_each_goes_on_as_a_fresh_session(
    model: GPT2, steps: list[tuple[str, int]]
) -> None:
    sessions = [model.session()]
    written(sessions[0], PROMPT, 90)
    for step, number in steps:
        session = sessions[number % len(sessions)]
        n = number % (len(session.ids) + 1)
        match step:
            case "write":
                ids = [*session.ids, number % 300]
                fresh = model.session(session.optimizations, session.precision)
                assert written(session, ids, 12) == written(fresh, ids, 12)
            case "fork":
                sessions.append(session.fork(n))
            case "rewind":
                session.rewind(n)
            case "switch":
                names = [name for name in Optimizations.names() if name != "gelu_table"]
                session.optimizations = session.optimizations.toggled(names[number % len(names)])
            case "precision":
                session.precision = ("f32", "int8")[number % 2]
            case "drop" if len(sessions) > 1:
                sessions.remove(session)
    for session in sessions:
        ids = list(session.ids)
        fresh = model.session(session.optimizations, session.precision)
        assert written(session, ids, 5) == written(fresh, ids, 5)


def test_two_sides_that_write_in_turns_never_touch_each_other(model: GPT2) -> None:
    trunk = model.session()
    written(trunk, PROMPT, 60)
    ids = list(trunk.ids)
    fork = trunk.fork(50)
    here, there = trunk.generate([*ids[:50], 1], 40, WARM), fork.generate([*ids[:50], 2], 40, WARM)
    both = [(one.id, one.logprob, other.id, other.logprob) for one, other in zip(here, there, strict=True)]
    assert [row[:2] for row in both] == written(model.session(), [*ids[:50], 1], 40)
    assert [row[2:] for row in both] == written(model.session(), [*ids[:50], 2], 40)


def test_forks_are_written_by_threads_at_the_same_time(model: GPT2) -> None:
    trunk = model.session()
    written(trunk, PROMPT, 100)
    prompts = [[*trunk.ids[:90], number] for number in range(3)]
    forks = [trunk.fork(90) for _ in prompts]
    with ThreadPoolExecutor(4) as pool:
        texts = [pool.submit(written, fork, ids, 50) for fork, ids in zip(forks, prompts, strict=True)]
        own = pool.submit(written, trunk, [*trunk.ids[:30], 7], 50)  # copies what the forks read
        assert own.result() == written(model.session(), [*prompts[0][:30], 7], 50)
    for ids, text in zip(prompts, texts, strict=True):
        assert text.result() == written(model.session(), ids, 50)


def test_a_fork_inherits_every_setting_and_later_changes_stay_on_their_side(model: GPT2) -> None:
    trunk = model.session(Optimizations().without("gelu"), "int8", threads=2)
    trunk.sampling = Sampling(temperature=0.5, seed=9)
    trunk.probes = Probes("blocks.1.hook_mlp_out")
    trunk.interventions = muted = Interventions().scale_head(layer=0, head=1, factor=0.0)
    changed = [token.logprob for token in trunk.generate(PROMPT, 50)]
    fork = trunk.fork(40)
    names = ("optimizations", "precision", "threads", "sampling", "probes", "interventions")
    assert [getattr(fork, name) for name in names] == [getattr(trunk, name) for name in names]
    rest = list(fork.generate(fork.ids, 15))
    assert [token.logprob for token in rest] == changed[35:]  # draws by the place in the text, too
    assert rest[0].activations["blocks.1.hook_mlp_out"].shape == (64,)

    fork.interventions, fork.probes, fork.precision = Interventions(), Probes(), "f32"
    fork.optimizations, fork.threads, fork.sampling = Optimizations(), 1, WARM
    assert (trunk.interventions, trunk.precision, trunk.threads, trunk.sampling.seed) == (muted, "int8", 2, 9)
    ids = list(trunk.ids[:30])
    assert written(fork, ids, 10) == written(model.session(precision="f32"), ids, 10)
    assert [token.logprob for token in trunk.generate(trunk.ids[:40], 15, Sampling(temperature=0.5, seed=9))] == (
        changed[35:]
    )


def test_the_first_token_of_a_fork_takes_one_pass_over_one_position(
    model: GPT2, monkeypatch: pytest.MonkeyPatch
) -> None:
    trunk = model.session()
    written(trunk, PROMPT, 120)
    passes: list[int] = []
    run = Pass.run

    def counted(one: Pass, ids: Any, *rest: Any, **named: Any) -> None:
        passes.append(ids.size)
        run(one, ids, *rest, **named)

    monkeypatch.setattr(Pass, "run", counted)
    for n in (40, 64, 110):
        passes.clear()
        assert len(written(trunk.fork(n), [*trunk.ids[:n], 7], 1)) == 1
        assert passes == [1]


def test_eight_forks_take_less_than_one_and_a_half_times_the_memory_of_one() -> None:
    model = noisy(GPT2Config(vocab_size=50, n_ctx=1024, n_layer=2, n_head=2, n_embd=16))

    def memory(*sessions: Session) -> int:
        arrays = [array for session in sessions for array in session.decoder.cache.arrays()]
        return sum({array.ctypes.data: array.nbytes for array in arrays}.values())

    one = model.session()
    written(one, [3, 4] * 500, 16)
    trunk = model.session()
    written(trunk, [3, 4] * 500, 1)
    forks = [trunk.fork(1000) for _ in range(8)]
    for number, fork in enumerate(forks):
        written(fork, [*fork.ids[:-1], number], 16)
    assert memory(trunk, *forks) < 1.5 * memory(one)
    assert memory(*forks[:1]) > 0.9 * memory(one)  # what is shared is counted with each
    below = [forks[0].fork(1016) for _ in range(8)]  # forks of a fork
    for number, fork in enumerate(below):
        written(fork, [*fork.ids, number], 7)
    assert memory(forks[0], *below) < 1.5 * memory(one)


def test_what_nobody_reads_any_more_is_given_back(model: GPT2) -> None:
    trunk = model.session()
    written(trunk, PROMPT, 120)
    keys = trunk.decoder.cache.keys
    fork = trunk.fork(100)
    trunk.rewind(20)  # copies: the fork reads what stood there
    assert trunk.decoder.cache.keys is not keys
    written(fork, fork.ids, 3)
    del fork
    gc.collect()
    kept = trunk.decoder.cache.keys
    written(trunk, trunk.ids, 3)
    trunk.rewind(10)
    assert trunk.decoder.cache.keys.base is kept.base  # nobody reads it: written over


def test_a_fork_before_the_window_begins_is_computed_once_more_and_says_so(
    model: GPT2, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(notices, "_told", set())
    monkeypatch.setattr(notices, "_listener", lines.append)
    trunk = model.session()
    text = written(trunk, PROMPT, 200)
    ids = list(trunk.ids)
    assert len(ids) == 205  # of the whole text; the model sees it from token 80 on
    assert written(trunk.fork(190), ids[:190], 15) == text[185:]
    assert lines == []
    seen: list[tuple[int, int]] = []
    fork = trunk.fork(100)
    assert len(lines) == 1
    assert "a fork at token 100 lies before" in lines[0]
    tokens = fork.generate(ids[:100], 105, WARM, progress=lambda done, total: seen.append((done, total)))
    assert [(token.id, token.logprob) for token in tokens] == text[95:]
    assert seen[0] == (100, 100)


def test_forks_outside_the_text_are_refused(model: GPT2) -> None:
    session = model.session()
    written(session, PROMPT, 4)
    for n in (-1, 10, 1.5):
        with pytest.raises(SettingError, match="is not possible; the session holds 9 tokens"):
            session.fork(n)  # type: ignore[arg-type]

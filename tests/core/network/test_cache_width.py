"""Keys and values in the width of the weights' precision."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, Optimizations, Sampling
from sg_core.bfloat16 import from_bfloat16, to_bfloat16
from sg_core.inference.session import Session
from sg_core.network.kv_cache import KVCache
from sg_core.network.precisions import PRECISIONS, Precision

CONFIG = GPT2Config(vocab_size=97, n_ctx=160, n_layer=2, n_head=3, n_embd=60)
IDS = np.random.default_rng(1).integers(0, 97, 70).tolist()
WARM = Sampling(temperature=0.9, seed=1)
REDUCED = PRECISIONS[1:]


@pytest.fixture(scope="module")
def model() -> GPT2:
    model = GPT2.random(CONFIG, seed=1)
    noise = np.random.default_rng(0).standard_normal(model.parameters.arena.size, dtype=np.float32)
    model.parameters.arena[:] += 0.1 * noise  # so that every layer matters
    return model


def written(session: Session, count: int) -> list[tuple[int, float]]:
    return [(token.id, token.logprob) for token in session.generate(IDS, count, WARM)]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_cache_holds_the_nearest_numbers_of_its_width(model: GPT2, precision: str) -> None:
    names = {"keys": "blocks.0.attn.hook_k", "values": "blocks.0.attn.hook_v"}  # nothing was rounded before
    _, exact = model.run_with_cache(IDS, list(names.values()), precision=precision)
    decoder = model.session(precision=precision).decoder
    decoder.step(*IDS)
    keys, values, key_scales, value_scales = (array[0, :3] for array in decoder.cache.arrays())
    stored = {"keys": (keys.transpose(2, 0, 1), key_scales), "values": (values.transpose(1, 0, 2), value_scales)}
    for kind, name in names.items():
        numbers, scales = stored[kind]
        wanted, kept = exact[name], numbers[: len(IDS)]  # (T, NH, hs)
        if precision == "f32":
            assert np.array_equal(kept, wanted)
        elif precision == "bf16":
            assert np.array_equal(from_bfloat16(kept), from_bfloat16(to_bfloat16(wanted)))
        else:
            scale = scales[:, : len(IDS)].T[..., None]
            assert np.array_equal(scale[..., 0], np.abs(wanted).max(axis=2) / np.float32(127))
            assert np.all(np.abs(kept).max(axis=2) == 127)
            # half a step, and a little where a quotient's rounding decides
            assert np.abs(kept * scale - wanted).max() <= 0.5001 * scale.max()


def test_a_narrow_cache_takes_less_memory() -> None:
    config = GPT2Config.gpt2()
    sizes = [KVCache.bytes_of(config, Precision.named(name).cached) for name in PRECISIONS]
    assert [one / other for one, other in pairwise(sizes)] == pytest.approx(
        [2.0, 1.85, 1.0, 1.0], abs=0.05
    )  # scales, whole lines
    for name, size in zip(PRECISIONS, sizes, strict=True):
        arrays = KVCache(config, Precision.named(name).cached, config.n_ctx).arrays()
        assert sum(array.nbytes for array in arrays) == size


@pytest.mark.parametrize("precision", REDUCED)
def test_positions_have_the_same_bits_alone_and_together_with_every_switch(model: GPT2, precision: str) -> None:
    expected = written(model.session(precision=precision), 20)
    for off in (("kv_cache",), ("kv_cache", "linear", "unembedding"), ("residual",)):
        assert written(model.session(Optimizations().without(*off), precision, 2), 20) == expected
    session = model.session(precision=precision)
    for id in IDS[:-1]:
        session.decoder.step(id)
    assert written(session, 20) == expected


@pytest.mark.parametrize("precision", REDUCED)
def test_a_fork_of_a_fork_reads_what_it_shares(model: GPT2, precision: str) -> None:
    expected = written(model.session(precision=precision), 60)
    trunk = model.session(precision=precision)
    written(trunk, 60)
    branch = trunk.fork(len(IDS) + 50).fork(len(IDS))
    assert branch.decoder.cache.shared
    assert written(branch, 60) == expected
    trunk.rewind(5)  # writes over what it alone reads
    written(trunk, 10)
    assert written(branch, 60) == expected


def test_another_precision_gives_the_cache_another_width(model: GPT2) -> None:
    session = model.session()
    written(session, 5)
    for precision in (*REDUCED, "f32"):
        session.precision = precision
        assert written(session, 5) == written(model.session(precision=precision), 5)
        assert session.decoder.cache.storage == Precision.named(precision).cached


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_damaged_keys_are_not_hidden_by_their_scale(precision: str) -> None:
    model = GPT2.random(CONFIG, seed=1)
    model.parameters["h.0.attn.c_attn.bias"][61] = np.nan  # of a key of the first head
    assert np.isnan(model.session(precision=precision).decoder.step(*IDS)).any()

"""Adapters beside the weights: what they add equals PEFT and merged weights, in every way a text is computed."""

from __future__ import annotations

import numpy as np
import pytest
from reference_recipe import SHAPES, golden, recipe, reference_model

from sg_core import GPT2, GPT2Config, Interventions, Optimizations, Probes, Sampling
from sg_core.errors import SettingError
from sg_core.kernels.team import Team
from sg_core.network.adapters import PROJECTIONS, Adapter, Adapters, chosen_ranks, new_adapter
from sg_core.network.batch_pass import BatchPass
from sg_core.network.lora_settings import LoraSettings
from sg_core.network.parameters import Parameters
from sg_core.network.weights import quantized

TOLERANCE = 1e-4  # the promise for logits; sums of float32 in another order give 4e-6 here
SHAPE = SHAPES[recipe.ADAPTER_SHAPE]
CONFIG = GPT2Config(vocab_size=61, n_ctx=32, n_layer=2, n_head=3, n_embd=48)
EVERYWHERE = "r=4,alpha=8,targets=c_attn,c_proj,c_fc"


def golden_model(*names: str) -> GPT2:
    model = reference_model(recipe.ADAPTER_SHAPE)
    for name in names:
        model.load_adapter(recipe.GOLDEN_FOLDER / f"adapter-{name}")
    return model


def batch() -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = recipe.batch(SHAPE, 0)
    return inputs.astype(np.int32), targets.astype(np.int32)


def adapter(text: str = EVERYWHERE, seed: int = 0, config: GPT2Config = CONFIG) -> Adapter:
    made = new_adapter(LoraSettings.parse(text), config, seed)
    made.arena[:] = np.random.default_rng(seed).standard_normal(made.arena.size) * 0.1
    return made


def greedy(model: GPT2, optimizations: Optimizations | None = None, precision: str = "f32") -> list[int]:
    session = model.session(optimizations, precision)
    return [token.id for token in session.generate([7, 3, 11], 12, Sampling(temperature=0.0))]


# ---------------------------------------------------------------- against PEFT


@pytest.mark.parametrize("name", recipe.ADAPTERS)
def test_logits_with_an_adapter_of_peft_are_those_of_peft(name: str) -> None:
    expected = golden("adapters")[f"{name} logits"]
    assert np.abs(golden_model(name).logits(batch()[0][0]) - expected).max() < TOLERANCE


def test_stacked_adapters_do_what_both_merged_by_peft_do() -> None:
    expected = golden("adapters")["stack logits"]
    assert np.abs(golden_model(*recipe.ADAPTER_STACK).logits(batch()[0][0]) - expected).max() < TOLERANCE


@pytest.mark.parametrize("name", recipe.ADAPTERS)
def test_gradients_of_an_adapter_are_those_of_peft(name: str) -> None:
    model, expected = golden_model(name), golden("adapters")
    inputs, targets = batch()
    (trained, _) = model.adapters.stack[0]
    gradients = trained.like()
    one = BatchPass(model.parameters, len(inputs), inputs.shape[1], Team(2), adapters=model.adapters)
    loss = one.loss_and_adapter_gradients(inputs, targets, gradients)
    assert abs(loss - float(expected[f"{name} loss"])) < 1e-5  # nats of a mean
    for layer, projection in trained.adapted():
        first, second = gradients.factors(layer, projection)
        key = f"{name} base_model.model.transformer.h.{layer}.{PROJECTIONS[projection]}.lora_"
        assert np.abs(first - expected[f"{key}A.weight"]).max() < 1e-5  # gradients here reach 0.2
        assert np.abs(second.T - expected[f"{key}B.weight"]).max() < 1e-5


# ---------------------------------------------------------------- what is computed with them


def test_a_scale_of_zero_is_the_base_bit_for_bit() -> None:
    model = GPT2.random(CONFIG, seed=1)
    base = model.logits([7, 3, 11])
    model.adapters = Adapters().with_(adapter(), 0.0)
    assert np.array_equal(model.logits([7, 3, 11]), base)
    model.adapters = Adapters().with_(adapter()).faded(0.0)
    assert np.array_equal(model.logits([7, 3, 11]), base)
    model.adapters = Adapters().with_(adapter())
    assert np.abs(model.logits([7, 3, 11]) - base).max() > 0.01


def test_adapters_with_scales_do_what_merged_weights_do() -> None:
    model = GPT2.random(CONFIG, seed=1)
    other = adapter("r=3,alpha=5,targets=h.1.mlp.c_proj,attn.c_proj,rslora=true", seed=2)
    model.adapters = Adapters().with_(adapter(), 0.5).with_(other, -2.0).faded(0.75)
    beside = model.logits([7, 3, 11, 2])
    model.merge_adapters()
    assert not model.adapters
    assert np.abs(model.logits([7, 3, 11, 2]) - beside).max() < TOLERANCE


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_reduced_weights_take_adapters_too(precision: str) -> None:
    model = GPT2.random(CONFIG, seed=1)
    base, plain = model.logits([7, 3, 11], precision=precision), model.logits([7, 3, 11])
    model.adapters = Adapters().with_(adapter())
    moved, wanted = model.logits([7, 3, 11], precision=precision) - base, model.logits([7, 3, 11]) - plain
    # what the adapter adds is the same but for what rounding of the weights does to it
    assert np.abs(moved - wanted).max() < 0.1 * np.abs(wanted).max()


def test_switches_and_threads_do_not_change_the_text_of_an_adapted_model() -> None:
    model = GPT2.random(CONFIG, seed=1)
    before = greedy(model)
    model.adapters = Adapters().with_(adapter(), 3.0)
    text = greedy(model)
    assert text != before
    for off in ("kv_cache", "linear", "unembedding"):
        assert greedy(model, Optimizations().without(off)) == text
    session = model.session(threads=3)
    assert [token.id for token in session.generate([7, 3, 11], 12, Sampling(temperature=0.0))] == text
    lookup = model.session(Optimizations().with_("lookup"))
    assert [token.id for token in lookup.generate([7, 3, 11], 12, Sampling(temperature=0.0))] == text


def test_threads_change_no_bit_of_an_adapters_gradients() -> None:
    model, trained = GPT2.random(CONFIG, seed=1), adapter("r=5,alpha=8,targets=all-linear")
    inputs, targets = batch()
    found = []
    for threads in (1, 3):
        one = BatchPass(
            model.parameters, len(inputs), inputs.shape[1], Team(threads), adapters=Adapters().with_(trained)
        )  # fmt: skip
        gradients = trained.like()
        loss = one.loss_and_adapter_gradients(inputs, targets, gradients, (0.1, 0.2), key=5)
        found.append((loss, gradients.arena))
    assert found[0][0] == found[1][0]
    assert np.array_equal(found[0][1], found[1][1])


def test_gradients_with_dropout_are_the_slope_of_the_loss_with_the_same_masks() -> None:
    model, trained = GPT2.random(CONFIG, seed=1), adapter("r=3,alpha=6,targets=all-linear")
    inputs, targets = batch()
    one = BatchPass(
        model.parameters, len(inputs), inputs.shape[1], Team(1), adapters=Adapters().with_(trained)
    )  # fmt: skip

    def loss() -> float:
        return one.loss_and_adapter_gradients(inputs, targets, trained.like(), (0.1, 0.3), key=5)

    gradients = trained.like()
    one.loss_and_adapter_gradients(inputs, targets, gradients, (0.1, 0.3), key=5)
    length = np.linalg.norm(gradients.arena)
    start, way = trained.arena.copy(), gradients.arena / length
    trained.arena[:] = start + np.float32(0.02) * way
    above = loss()
    trained.arena[:] = start - np.float32(0.02) * way
    # the third derivative and float32 stay far below a hundredth of the slope
    assert (above - loss()) / 0.04 == pytest.approx(length, rel=0.01)


def test_continuations_of_an_adapted_model_are_what_it_generates() -> None:
    model = GPT2.random(CONFIG, seed=1)
    model.adapters = Adapters().with_(adapter(), 3.0)
    session, warm = model.session(), Sampling(temperature=0.9, seed=2)
    written: dict[int, list[int]] = {0: [], 1: []}
    for number, token in session.generate_many([7, 3], 2, 8, warm):
        written[number].append(token.id)
    assert written[0] == [token.id for token in model.session().generate([7, 3], 8, warm)]


@pytest.mark.slow  # compiles the pass with adapters and a window
def test_probes_and_interventions_act_in_an_adapted_model() -> None:
    model = GPT2.random(CONFIG, seed=1)
    model.adapters = Adapters().with_(adapter(), 2.0)
    merged = GPT2.random(CONFIG, seed=1)
    adapter().add_to(merged.parameters, 2.0)
    edits = Interventions().scale_head(1, 0, 0.0)
    beside, seen = model.run_with_cache([7, 3, 11], ["*"], interventions=edits)
    wanted, expected = merged.run_with_cache([7, 3, 11], ["*"], interventions=edits)
    assert np.abs(beside - wanted).max() < TOLERANCE
    for name, values in expected.items():
        finite = np.isfinite(values)
        assert np.abs(seen[name][finite] - values[finite]).max() < TOLERANCE, name
    session = model.session()
    session.probes = Probes("blocks.0.attn.hook_q")
    assert [token.activations for token in session.generate([7, 3], 2)]


def test_fading_while_a_text_is_written_goes_on_as_if_it_had_always_been_so() -> None:
    model = GPT2.random(CONFIG, seed=1)
    model.adapters = Adapters().with_(adapter(), 3.0)
    session, written = model.session(), [7, 3, 11]
    for token in session.generate(written.copy(), 8, Sampling(temperature=0.0)):
        written.append(token.id)
        if len(written) == 6:
            model.adapters = model.adapters.faded(0.4)
    fresh = model.session().generate(written[:6], 5, Sampling(temperature=0.0))
    assert [token.id for token in fresh] == written[6:]


def test_fading_reaches_continuations_that_are_being_written() -> None:
    model = GPT2.random(CONFIG, seed=1)
    model.adapters = Adapters().with_(adapter(), 3.0)
    written: list[int] = []
    for number, token in model.session().generate_many([7, 3, 11], 2, 8, Sampling(temperature=0.0)):
        if number == 0:
            written.append(token.id)
        elif len(written) == 3:
            model.adapters = model.adapters.faded(0.4)
    fresh = model.session().generate([7, 3, 11, *written[:3]], 5, Sampling(temperature=0.0))
    assert [token.id for token in fresh] == written[3:]


def test_reduced_weights_are_not_stored_anew_when_an_adapter_fades() -> None:
    model = GPT2.random(CONFIG, seed=1)
    stored = model.weights("int8")
    model.adapters = Adapters().with_(adapter())
    assert model.weights("int8") is stored
    model.merge_adapters()
    assert model.weights("int8") is not stored


def test_gradients_through_a_reduced_base_are_those_of_the_numbers_it_holds() -> None:
    """Dequantized by hand, the base is a float32 one, whose gradients are the same but for the order of sums."""
    trained = adapter("r=4,alpha=8,targets=all-linear")
    inputs, targets = batch()
    for precision in ("int8", "bf16"):
        model = GPT2.random(CONFIG, seed=1)
        weights = quantized(model.parameters, precision)
        found, wanted = trained.like(), trained.like()
        adapters = Adapters().with_(trained)
        BatchPass(
            model.parameters, len(inputs), inputs.shape[1], Team(1), weights, adapters=adapters
        ).loss_and_adapter_gradients(inputs, targets, found)
        _hold_what_is_stored(model.parameters, precision)
        BatchPass(
            model.parameters, len(inputs), inputs.shape[1], Team(1), adapters=adapters
        ).loss_and_adapter_gradients(inputs, targets, wanted)
        # the token embedding is looked up in float32 in both, and rounded only as the head: it stays out of `wanted`
        assert np.abs(found.arena - wanted.arena).max() < 0.02 * np.abs(wanted.arena).max()


def _hold_what_is_stored(parameters: Parameters, precision: str) -> None:
    """Matrices of the blocks become the numbers that their reduced storage stands for."""
    for name in parameters:
        view = parameters.view(name)
        if view.ndim == 2 and ".h." in name:
            rows = np.ascontiguousarray(view.T)
            if precision == "bf16":
                bits = rows.view(np.uint32)
                rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
                view[...] = rounded.view(np.float32).T
            else:
                groups = rows.reshape(-1, CONFIG.n_embd)
                scales = np.abs(groups).max(axis=1, keepdims=True) / np.float32(127)
                view[...] = (np.rint(groups / scales) * scales).reshape(rows.shape).T


def test_an_adapter_of_other_sizes_is_refused() -> None:
    model = GPT2.random(GPT2Config(vocab_size=61, n_ctx=32, n_layer=3, n_head=3, n_embd=48))
    with pytest.raises(SettingError, match="is for 2 blocks of 48 channels; this model has 3 of 48"):
        model.adapters = Adapters().with_(adapter())


def test_weights_are_not_saved_or_differentiated_without_the_adapters_that_act(tmp_path: object) -> None:
    model = GPT2.random(CONFIG, seed=1)
    model.adapters = Adapters().with_(adapter())
    with pytest.raises(SettingError, match="merge them first"):
        model.save_pretrained(str(tmp_path))
    with pytest.raises(SettingError, match="while adapters act"):
        model.loss_and_gradients([[1, 2]], [[2, 3]])


# ---------------------------------------------------------------- what is asked of a new one


def test_a_new_adapter_changes_nothing_before_it_is_trained() -> None:
    model = GPT2.random(CONFIG, seed=1)
    base = model.logits([7, 3, 11])
    made = new_adapter(LoraSettings(), CONFIG, seed=3)
    model.adapters = Adapters().with_(made)
    assert np.abs(model.logits([7, 3, 11]) - base).max() < 1e-6  # zeros are added
    first, second = made.factors(0, 0)
    assert np.abs(first).max() <= 1 / np.sqrt(48)
    assert not second.any()


def test_settings_are_read_as_they_are_written() -> None:
    read = LoraSettings.parse("r=4, alpha=32, dropout=0.05, targets=c_attn,mlp.c_proj, rslora=true")
    assert read == LoraSettings(4, 32.0, 0.05, ("c_attn", "mlp.c_proj"), rslora=True)
    assert read.gain == 16.0
    peft = "r=4,lora_alpha=32,lora_dropout=0.05,target_modules=c_attn,mlp.c_proj,use_rslora=true"
    assert LoraSettings.parse(peft) == read
    ranks = chosen_ranks(read, CONFIG)
    assert ranks.tolist() == [[4, 0, 0, 4], [4, 0, 0, 4]]
    assert LoraSettings.parse("r=2").targets == ("c_attn",)
    assert chosen_ranks(LoraSettings(targets=("all-linear",)), CONFIG).all()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("r=0", "lora: r is 0; a whole number from 1 to 4,096"),
        ("r=8.5", "lora: r is 8.5"),
        ("rank=8", "'rank=8' is not understood; write for example r=8"),
        ("r=8,r=9", "'r=9' is not understood"),
        ("", "'' is not understood"),
        ("alpha=big", "alpha is big; a number"),
        ("alpha=nan", "alpha is nan; a number"),
        ("dropout=1", "dropout is 1; a number from 0 to 0.9"),
        ("rslora=yes", "rslora is yes; true or false"),
        ("targets=", "'targets=' is not understood"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_a_line(text: str, complaint: str) -> None:
    with pytest.raises(SettingError, match=complaint) as refused:
        LoraSettings.parse(text)
    assert "\n" not in str(refused.value)


def test_a_target_that_names_nothing_is_refused() -> None:
    with pytest.raises(SettingError, match="no projection of the model is called 'q_proj'; choose from c_attn"):
        new_adapter(LoraSettings.parse("targets=c_attn,q_proj"), CONFIG, 0)

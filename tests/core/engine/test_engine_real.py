"""The engine thread with the engine that computes: what it adds (turns, switches, stops) changes no number."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_fakes import Driver

from sg_core.config import GPT2Config
from sg_core.engine.commands import (
    Bench,
    Generate,
    Load,
    SetOptimizations,
    SetPrecision,
    SetThreads,
    StopTraining,
    Train,
)
from sg_core.engine.events import (
    Done,
    Failed,
    Loaded,
    Measured,
    Metrics,
    PrecisionSet,
    Sample,
    Saved,
    TokenEvent,
    TrainingEnded,
    TrainingStarted,
)
from sg_core.engine.parts import real_parts
from sg_core.gpt2 import GPT2
from sg_core.inference.sampling import Sampling
from sg_core.measure.compilation import warm_up
from sg_core.network.optimizations import Optimizations
from sg_core.text.vocabulary import learn_vocabulary
from sg_core.training.dataset import TextDataset
from sg_core.training.preparation import prepare_training
from sg_core.training.results import Evaluation, StepResult
from sg_core.training.settings import PRESETS, TrainingConfig

TEXT = "The lantern of the watch goes up the hill, and all the town is sleeping in the mist.\n" * 120
TRAINING = TrainingConfig(steps=12, batch_size=2, context=16, warmup_steps=2, evaluate_every=6, save_every=5)


@pytest.fixture(scope="module", autouse=True)
def _kernels() -> None:
    """Compiled before anything is waited for."""
    warm_up(training=True)
    warm_up(precision="int8")


@pytest.fixture(scope="module")
def model() -> GPT2:
    tokenizer = learn_vocabulary(TEXT, 280)
    shape = GPT2Config(vocab_size=tokenizer.vocab_size, n_ctx=48, n_layer=2, n_head=2, n_embd=16)
    return GPT2.random(shape, seed=3, tokenizer=tokenizer, name="a")


@pytest.fixture
def driver(model: GPT2) -> Iterator[Driver]:
    def load(name: str) -> GPT2:
        return model if name == "a" else GPT2.from_pretrained(name)

    driver = Driver(parts=lambda: dataclasses.replace(real_parts(), load=load, warm_inside=None))
    yield driver
    driver.engine.close(timeout=20)
    assert not driver.engine._thread.is_alive()


@pytest.fixture
def text_file(tmp_path: Path) -> str:
    path = tmp_path / "hill.txt"
    path.write_text(TEXT, "utf-8")
    return str(path)


def written(driver: Driver, request: int) -> str:
    return "".join(event.token.text for event in driver.of(TokenEvent) if event.request == request)


def losses(driver: Driver) -> list[tuple[int, float]]:
    return [(step.step, step.loss) for step in driver.of(StepResult)]


def trained_alone(text_file: str) -> list[tuple[int, float]]:
    """The same run without an engine thread."""
    trainer = prepare_training(data=text_file, model=None, config=PRESETS["tiny"].config, training=TRAINING)
    steps = [trainer.step() for _ in range(TRAINING.steps)]
    return [(step.step, step.loss) for step in steps]


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_the_text_is_the_sessions_own_whatever_is_switched(driver: Driver, model: GPT2, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, seed=5)
    alone = "".join(token.text for token in model.session().generate("The lan", 90, sampling))
    driver.finish(Load("a"))
    driver.submit(Generate(1, "The lan", 90, sampling))
    for count, switches in (
        (10, Optimizations.none().with_("gelu_table")),
        (30, Optimizations().without("linear", "kv_cache")),
    ):
        driver.until(lambda count=count: len(driver.of(TokenEvent)) >= count)  # type: ignore[misc]
        driver.submit(SetOptimizations(switches), SetThreads(2))
    driver.finish()
    assert written(driver, 1) == alone
    [end] = driver.of(Done)
    assert (end.request, end.tokens) == (1, len(driver.of(TokenEvent)))
    last = driver.of(TokenEvent)[-1]
    token = last.token
    assert len(token.top) == len(last.top_texts) == 8
    assert token.op_ms.keys() >= {"qkv", "attention", "sampling"}


def test_a_text_is_written_again_from_what_the_session_holds(driver: Driver) -> None:
    greedy = Sampling(temperature=0.0)
    for request in (1, 2):
        driver.finish(Load("a") if request == 1 else SetThreads(1), Generate(request, TEXT[:150], 10, greedy))
    assert written(driver, 2) == written(driver, 1) != ""
    first, second = (next(one for one in driver.of(Metrics) if one.request == request) for request in (1, 2))
    assert first.prefill_ms > second.prefill_ms == 0.0


def test_a_model_that_is_not_there_is_one_line(driver: Driver, tmp_path: Path) -> None:
    driver.finish(Load("a"))
    driver.finish(Load(str(tmp_path / "nowhere")))
    (failed,) = driver.of(Failed)
    assert "nowhere" in failed.message
    assert "internal" not in failed.message
    assert len(driver.of(Loaded)) == 1


def test_talking_to_the_weights_changes_no_loss(driver: Driver, text_file: str, tmp_path: Path) -> None:
    driver.submit(Train(text_file, training=TRAINING, out=str(tmp_path / "run"), sample_every=4))
    driver.submit(Generate(1, "The ", 30, from_training=True))
    driver.finish()
    assert losses(driver) == trained_alone(text_file)
    assert [end.request for end in driver.of(Done)] == [1]
    assert [event.step for event in driver.of(Evaluation)] == [6, 12]
    assert [event.step for event in driver.of(Sample)] == [4, 8, 12]
    assert {event.step for event in driver.of(Saved)} == {5, 6, 10, 12}  # 6: the best so far
    assert driver.of(Failed) == []


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_text_of_the_weights_in_training_is_that_of_the_newest_weights(
    driver: Driver, text_file: str, tmp_path: Path, precision: str
) -> None:
    greedy = Sampling(temperature=0.0)
    training = dataclasses.replace(TRAINING, evaluate_every=0)
    driver.submit(SetPrecision(precision), Train(text_file, training=training, out=str(tmp_path), sample_every=0))
    driver.submit(Generate(2, "The ", 5, greedy, from_training=True))
    driver.finish()
    driver.finish(Generate(1, "The ", 20, greedy, from_training=True))
    trained = driver.engine._models._trainee
    assert trained is not None
    fresh = GPT2(trained.model.config, trained.model.parameters, trained.model.tokenizer)
    alone = list(fresh.session(precision=precision).generate("The ", 20, greedy))
    # logprobs tell more than the text, which a model that has learned little hardly changes
    assert [event.token.logprob for event in driver.of(TokenEvent)][-20:] == [token.logprob for token in alone]
    assert written(driver, 1) == "".join(token.text for token in alone)


def test_a_precision_that_is_switched_while_text_streams_computes_what_follows(driver: Driver, model: GPT2) -> None:
    greedy = Sampling(temperature=0.0)
    driver.finish(Load("a"))
    driver.submit(Generate(1, "The lan", 500, greedy))
    driver.until(lambda: len(driver.of(TokenEvent)) >= 20)
    driver.submit(SetPrecision("int8"))
    driver.until(lambda: driver.of(PrecisionSet))
    driver.finish()
    told = driver.of(TokenEvent)
    alone, expected = model.session(), []
    for token in alone.generate("The lan", 500, greedy):
        expected.append((token.logprob, alone.precision))
        if len(expected) == sum(event.precision == "f32" for event in told):
            alone.precision = "int8"
    assert [(event.token.logprob, event.precision) for event in told] == expected
    assert {event.precision for event in told} == {"f32", "int8"}


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(driver: Driver, text_file: str, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    driver.submit(Train(text_file, training=TRAINING, out=out, sample_every=0))
    driver.until(lambda: len(driver.of(StepResult)) >= 3)
    driver.finish(StopTraining())
    before = driver.of(TrainingEnded)[-1].step
    assert driver.of(Saved)[-1].step == before
    driver.finish(Train(resume=out, sample_every=0))
    assert driver.of(TrainingStarted)[-1].first_step == before
    assert losses(driver) == trained_alone(text_file)
    assert driver.of(TrainingEnded)[-1] == TrainingEnded(12, "finished")


def test_a_run_is_resumed_from_one_of_its_checkpoints(driver: Driver, text_file: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    driver.finish(Train(text_file, training=TRAINING, out=str(out), sample_every=0))
    driver.finish(Train(resume=str(out / "step-00000010"), sample_every=0))
    assert driver.of(TrainingStarted)[-1].out == str(out)
    assert losses(driver)[12:] == losses(driver)[10:12]
    assert not (out / "step-00000010" / "step-00000012").exists()


def test_a_text_too_short_to_train_on_is_one_line(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("Too short a text.", "utf-8")
    driver.finish(Train(str(path), training=TRAINING))
    assert "short.txt" in driver.of(Failed)[0].message
    assert driver.of(TrainingEnded) == [TrainingEnded(0, "failed")]


def test_the_ladder_is_measured(driver: Driver) -> None:
    driver.finish(Load("a"), Bench(1, tokens=4))
    rows = [row.timing for row in driver.of(Measured)]
    assert [row.optimizations for row in rows][:: len(rows) - 1] == [Optimizations.none(), Optimizations()]
    assert all(0 < row.minimum <= row.ms_per_token <= row.maximum for row in rows)
    assert driver.of(Done)[0].reason == "length"


def test_the_data_of_a_run_are_told(driver: Driver, model: GPT2, text_file: str, tmp_path: Path) -> None:
    driver.finish(Train(text_file, training=dataclasses.replace(TRAINING, steps=1), out=str(tmp_path / "run")))
    (started,) = driver.of(TrainingStarted)
    tokenizer = learn_vocabulary(TEXT[: int(0.9 * len(TEXT))], 512)
    data = TextDataset.from_text("hill.txt", TEXT, tokenizer)
    assert (started.model, started.data) == ("tiny", "hill.txt")
    assert (started.train_tokens, started.validation_tokens) == (len(data.train_ids), len(data.validation_ids))

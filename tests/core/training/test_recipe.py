"""Schedules, averages, Muon, teachers, patience: each does what it says, and a resumed run has the same bits."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.errors import CheckpointError, SettingError, TrainingError
from sg_core.kernels.team import Team
from sg_core.network.backward import soft_targets
from sg_core.network.batch_pass import BatchPass, Lesson
from sg_core.network.parameters import Parameters
from sg_core.training.averaging import WeightAverage
from sg_core.training.export import model_to_export
from sg_core.training.optimizer import learning_rate

GOLDEN = Path(__file__).parents[2] / "reference" / "golden" / "recipe.npz"
CONFIG = GPT2Config(vocab_size=40, n_ctx=16, n_layer=2, n_head=2, n_embd=32)
SETTINGS = TrainingConfig(
    steps=12, batch_size=4, context=16, learning_rate=5e-3, warmup_steps=2, evaluate_every=0, seed=3
)


def dataset() -> TextDataset:
    ids = np.array([(7 * i * i + i) % 40 for i in range(600)], np.int32)
    return TextDataset("numbers", ids, ids[:133], 1200, 266)


def trainer(threads: int = 1, **changes: Any) -> Trainer:
    return Trainer(GPT2.random(CONFIG, seed=0), dataset(), replace(SETTINGS, **changes), threads)


def teacher(folder: Path, seed: int, config: GPT2Config = CONFIG) -> str:
    GPT2.random(config, seed=seed).save_pretrained(folder / f"teacher-{seed}")
    return str(folder / f"teacher-{seed}")


@pytest.mark.parametrize(
    ("schedule", "expected"), [("linear", [1.0, 0.775, 0.55, 0.325, 0.1]), ("wsd", [1.0, 1.0, 1.0, 0.55, 0.1])]
)
def test_the_rate_follows_its_schedule(schedule: str, expected: list[float]) -> None:
    settings = TrainingConfig(
        steps=110, warmup_steps=10, learning_rate=1.0, final_lr_fraction=0.1, schedule=schedule, decay_fraction=0.5
    )
    assert learning_rate(4, settings) == pytest.approx(0.5)
    assert [learning_rate(step, settings) for step in (10, 35, 60, 85, 110)] == pytest.approx(expected)


def test_an_average_is_that_of_the_weights_after_each_step() -> None:
    draw = np.random.default_rng(0)
    weights = Parameters(CONFIG)
    weights.arena[:] = 100.0
    ema = WeightAverage(weights, replace(SETTINGS, average="ema", average_half_life=3))
    mean = WeightAverage(weights, replace(SETTINGS, average="mean", average_fraction=0.25))
    seen = draw.standard_normal(12)
    for step, value in enumerate(seen, 1):
        weights.arena[:] = value
        ema.add(step)
        mean.add(step)
        if step == 6:
            assert np.allclose(mean.parameters.arena, value)  # not begun: the weights as they are
    shares = 0.5 ** (np.arange(11, -1, -1) / 3)
    # float32 sums of a dozen numbers about 1
    assert np.abs(ema.parameters.arena - (shares * seen).sum() / shares.sum()).max() < 1e-6
    assert np.abs(mean.parameters.arena - seen[-3:].mean()).max() < 1e-6


def test_the_average_is_validated_and_exported_instead_of_the_last_weights(tmp_path: Path) -> None:
    run, plain = trainer(average="ema", average_half_life=4), trainer()
    for _ in range(6):
        assert run.step().loss == plain.step().loss  # it changes no step
    assert run.evaluate().val_loss != plain.evaluate().val_loss
    model, step = model_to_export(run, tmp_path)
    assert step == 6
    assert np.array_equal(model.parameters.arena, run.validated_parameters.arena)
    assert not np.array_equal(model.parameters.arena, run.model.parameters.arena)


@pytest.mark.parametrize(
    "changes",
    [
        {"average": "ema", "average_half_life": 2},
        {"average": "mean", "average_fraction": 0.9},
        {"optimizer": "muon"},
        {"optimizer": "muon", "average": "ema", "schedule": "wsd"},
        {"patience": 3},
    ],
    ids=str,
)
def test_a_resumed_run_has_the_bits_of_the_whole_one(changes: dict[str, Any], tmp_path: Path) -> None:
    whole, first = trainer(**changes), trainer(threads=2, **changes)
    for _ in range(5):
        whole.step()
        first.step()
    first.save(tmp_path)
    resumed = Trainer.resume(tmp_path)
    for _ in range(4):
        assert resumed.step().loss == whole.step().loss
    assert resumed.evaluate() == whole.evaluate()
    assert np.array_equal(resumed.validated_parameters.arena, whole.validated_parameters.arena)
    assert np.array_equal(resumed._optimizer.first, whole._optimizer.first)


def test_muon_steps_as_its_author_published_it() -> None:
    golden = np.load(GOLDEN)
    from sg_core.kernels.blocked import BLOCKED_ROOM
    from sg_core.memory import aligned
    from sg_core.training.muon import _scratch, update_matrix

    for number, threads in itertools.product(range(3), (1, 3)):
        weight, gradients = golden[f"weight{number}"].copy(), golden[f"gradients{number}"]
        N, K = weight.shape
        momentum, rooms = np.zeros(N * K, np.float32), aligned(threads, BLOCKED_ROOM)
        flat, team = weight.reshape(-1), Team(threads)
        for gradient in gradients:
            used = gradient.reshape(-1).copy()
            team.run(
                update_matrix, flat, used, momentum, 0, N, K, 0.02, 0.95, 0.5, 1.0, *_scratch(N, K), rooms
            )  # fmt: skip
            assert not used.any()  # ready for the next step
        # a float32 iteration of five steps against double precision; a step moves numbers by about 0.02
        assert np.abs(flat.reshape(N, K) - golden[f"after{number}"]).max() < 2e-5


def test_muon_moves_the_matrices_of_the_blocks_and_adamw_the_rest() -> None:
    muon, adamw = trainer(optimizer="muon"), trainer()
    before = {name: array.copy() for name, array in adamw.model.parameters.items()}
    muon.step()
    adamw.step()
    for name, array in muon.model.parameters.items():
        same = np.array_equal(array, adamw.model.parameters[name])
        assert same == (array.ndim == 1 or ".h." not in name), name
        assert not np.array_equal(array, before[name]) or name.endswith("attn.c_attn.bias"), name


def test_muon_learns_with_the_same_bits_for_any_number_of_threads() -> None:
    runs = [trainer(threads=threads, optimizer="muon", steps=40) for threads in (1, 2, 3)]
    before = runs[0].evaluate().val_loss
    told = [[run.step().loss for _ in range(40)] for run in runs]
    assert told[0] == told[1] == told[2]
    assert runs[0].evaluate().val_loss < 0.9 * before


def test_the_distillation_loss_and_its_gradient_are_those_of_the_reference() -> None:
    from sg_core.kernels.distillation import distillation_backward

    golden = np.load(GOLDEN)
    soft, team = np.zeros((6, 11), np.float32), Team(2)
    for logits in golden["teachers"]:
        team.run(soft_targets, soft, logits.copy(), np.float32(2.0), np.float32(0.5))
    assert np.abs(soft - golden["soft"]).max() < 1e-6  # float32 probabilities
    logits, losses = golden["logits"].copy(), np.empty(6)
    distillation_backward(
        losses, logits, golden["targets"], soft, np.float32(0.3), np.float32(2.0), np.float32(1.0), 0, 6, 0, 1
    )
    assert np.abs(losses - golden["losses"]).max() < 1e-5  # float32 logits of up to 10
    assert np.abs(logits - golden["dlogits"]).max() < 1e-6


def test_the_gradient_with_teachers_is_the_slope_of_the_loss() -> None:
    model = GPT2.random(CONFIG, seed=1)
    inputs, targets = dataset().batch(0, 2, 16, 0)
    soft = np.random.default_rng(5).dirichlet(np.ones(40), 32).astype(np.float32)
    lesson = Lesson(soft, 0.7, 1.5)
    batch_pass, gradients = BatchPass(model.parameters, 2, 16, Team(1)), Parameters(CONFIG)
    batch_pass.loss_and_gradients(inputs, targets, gradients, lesson=lesson)
    start, step, draw = model.parameters.arena.copy(), np.float32(1e-3), np.random.default_rng(6)
    for _ in range(4):
        direction = gradients.arena * draw.integers(0, 2, gradients.arena.size).astype(np.float32)  # half of it
        expected = float(np.linalg.norm(direction))
        direction /= expected
        ends = []
        for sign in (1, -1):
            model.parameters.arena[:] = start + sign * step * direction
            ends.append(batch_pass.loss_and_gradients(inputs, targets, Parameters(CONFIG), lesson=lesson))
        # the error falls with the square of the step (measured), down to the rounding of float32 losses
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=2e-4)


def test_teachers_are_learned_from_and_must_be_the_same_after_a_resume(tmp_path: Path) -> None:
    names = [teacher(tmp_path, seed) for seed in (7, 8)]
    settings: dict[str, Any] = {"distill": ",".join(names), "distill_mix": 1.0, "dropout": 0.0}
    whole, first = trainer(**settings), trainer(threads=2, **settings)
    for _ in range(4):
        assert whole.step().loss == first.step().loss
    first.save(tmp_path / "run")
    resumed = Trainer.resume(tmp_path / "run")
    assert [resumed.step().loss for _ in range(3)] == [whole.step().loss for _ in range(3)]
    assert resumed.step().loss != trainer(dropout=0.0).step().loss
    GPT2.random(CONFIG, seed=9).save_pretrained(tmp_path / "teacher-8")
    with pytest.raises(CheckpointError, match="teachers"):
        Trainer.resume(tmp_path / "run")


def test_a_student_of_itself_has_nothing_to_learn(tmp_path: Path) -> None:
    run = trainer(distill=teacher(tmp_path, 0), distill_mix=1.0, dropout=0.0)
    result = run.step()
    assert abs(result.loss) < 1e-5  # float32 probabilities of 40 tokens
    assert result.grad_norm < 1e-4


def test_teachers_of_another_vocabulary_or_a_shorter_context_are_refused(tmp_path: Path) -> None:
    for change, match in (({"vocab_size": 41}, "41 tokens, the student 40"), ({"n_ctx": 8}, "context of 8")):
        name = teacher(tmp_path, 7, replace(CONFIG, **change))  # type: ignore[arg-type]
        with pytest.raises(TrainingError, match=match):
            trainer(distill=name)


def test_patience_ends_a_run_whose_validation_loss_does_not_fall(tmp_path: Path) -> None:
    run = trainer(patience=2, learning_rate=0.0)
    run.evaluate()
    for expected in (False, True):
        run.step()
        assert not run.finished
        run.evaluate()
        run.evaluate()  # the same step again counts once
        assert run.finished == expected
    run.save(tmp_path)
    assert Trainer.resume(tmp_path).finished


def test_the_best_checkpoint_is_exported_and_the_last_if_asked(tmp_path: Path) -> None:
    for export, average in (("best", "none"), ("best", "ema"), ("last", "none")):
        run, folder = trainer(export=export, average=average, learning_rate=1e-3), tmp_path / (export + average)
        for _ in range(4):
            run.step()
        run.evaluate()
        run.save(folder)
        best = run.validated_parameters.arena.copy()
        run.step()
        run.validated_parameters.arena[:] = np.random.default_rng(1).standard_normal(best.size)  # spoiled
        run.evaluate()
        run.save(folder)
        model, step = model_to_export(run, folder)
        assert step == (4 if export == "best" else 5)
        assert np.array_equal(model.parameters.arena, best) == (export == "best")


def test_what_is_no_choice_is_refused_by_name() -> None:
    for field, value in (("schedule", "sine"), ("optimizer", "sgd"), ("order", ""), ("average", "median")):
        with pytest.raises(SettingError, match=field):
            TrainingConfig(**{field: value})  # type: ignore[arg-type]
    assert TrainingConfig(weight_decay=30.0).weight_decay == 30.0

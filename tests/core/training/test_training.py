"""Training: it learns, every switch of the settings acts, and nothing but data, settings and step decides a number."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.errors import CheckpointError, DataError, SettingError, TrainingError
from sg_core.network.parameters import Parameters
from sg_core.training.optimizer import learning_rate

CONFIG = GPT2Config(vocab_size=40, n_ctx=16, n_layer=2, n_head=2, n_embd=32)
SETTINGS = TrainingConfig(
    steps=60, batch_size=4, context=16, learning_rate=5e-3, warmup_steps=5, dropout=0.1, evaluate_every=0, seed=3
)


def dataset() -> TextDataset:
    ids = np.array([(7 * i * i + i) % 40 for i in range(600)], np.int32)  # periodic: can be learned
    return TextDataset("numbers", ids, ids[:133], 1200, 266)


def trainer(settings: TrainingConfig = SETTINGS, threads: int = 1, seed: int = 0) -> Trainer:
    return Trainer(GPT2.random(CONFIG, seed=seed), dataset(), settings, threads)


def losses(run: Trainer, steps: int) -> list[float]:
    return [run.step().loss for _ in range(steps)]


def test_a_small_model_learns_a_small_text() -> None:
    run = trainer()
    before = run.evaluate()
    assert before.val_loss == pytest.approx(np.log(40), abs=0.3)  # untrained: all tokens about equally likely
    assert before.val_loss_per_char == pytest.approx(before.val_loss * 132 / 266)
    losses(run, 60)
    assert run.finished
    assert run.evaluate().val_loss < 0.6 * before.val_loss


def test_losses_have_the_same_bits_for_any_number_of_threads() -> None:
    assert losses(trainer(threads=1), 6) == losses(trainer(threads=2), 6) == losses(trainer(threads=3), 6)


def test_threads_may_change_between_steps_and_change_no_bit() -> None:
    expected, run = trainer(threads=1), trainer(threads=3)
    told = [*losses(expected, 4), expected.evaluate().val_loss, *losses(expected, 2)]
    seen = losses(run, 1)
    for threads in (1, 2, 5):
        run.use_threads(threads)
        assert run._team.threads == threads
        seen += losses(run, 1)
    seen.append(run.evaluate().val_loss)
    run.use_threads(None)
    seen += losses(run, 2)
    assert seen == told
    assert run.evaluate() == expected.evaluate()


def test_a_team_that_yields_to_other_programs_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, run = trainer(threads=1), trainer(threads=3)
    counts = itertools.cycle((3, 1, 2, 2, 3))
    monkeypatch.setattr(run._team._crowding, "threads", lambda now: next(counts))
    assert losses(run, 6) == losses(expected, 6)
    assert run.evaluate() == expected.evaluate()


def test_evaluation_equals_the_mean_of_every_target_once() -> None:
    run = trainer()
    ids = run.dataset.validation_ids
    total = 0.0
    for inputs, targets in run.dataset.validation_windows(16):
        logits = run.model.logits(inputs).astype(np.float64)
        logprobs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        total -= logprobs[np.arange(len(targets)), targets].sum()
    assert run.evaluate().val_loss == pytest.approx(total / (len(ids) - 1), rel=1e-6)  # float32 logits


def test_accumulated_batches_give_the_gradient_of_the_whole() -> None:
    model = GPT2.random(CONFIG, seed=0)
    inputs, targets = dataset().batch(0, 4, 16, 0)
    whole_loss, whole = model.loss_and_gradients(inputs, targets)
    halves = [model.loss_and_gradients(inputs[part], targets[part]) for part in (slice(0, 2), slice(2, 4))]
    assert np.mean([loss for loss, _ in halves]) == pytest.approx(whole_loss, rel=1e-6)
    for name in whole:
        mean = (halves[0][1][name] + halves[1][1][name]) / 2
        assert np.abs(mean - whole[name]).max() < 1e-6  # float32 sums in another order
    one = trainer(replace(SETTINGS, accumulation=2, batch_size=2, dropout=0.0))
    assert one.step().loss != trainer(replace(SETTINGS, batch_size=2, dropout=0.0)).step().loss


def test_only_matrices_decay() -> None:
    settings = replace(SETTINGS, weight_decay=0.5, warmup_steps=0, clip_norm=1e-6)  # gradients count for nothing
    run = trainer(settings)
    run.model.parameters["ln_f.weight"][...] = 3.0
    before = {name: array.copy() for name, array in run.model.parameters.items()}
    run.step()
    shrunk = 1 - settings.learning_rate * 0.5
    for name, array in run.model.parameters.items():
        expected = before[name] * (shrunk if array.ndim == 2 else 1.0)
        # AdamW moves a parameter by at most about the rate, however small its gradient
        assert np.abs(array - expected).max() <= 1.05 * settings.learning_rate, name
    assert np.linalg.norm(run.model.parameters["wte.weight"]) < np.linalg.norm(before["transformer.wte.weight"])


def test_the_rate_warms_up_and_falls_along_a_cosine() -> None:
    settings = TrainingConfig(steps=110, warmup_steps=10, learning_rate=1.0, final_lr_fraction=0.1)
    rates = [learning_rate(step, settings) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))


def test_dropout_changes_the_steps_and_not_the_evaluation() -> None:
    with_dropout, without = trainer(), trainer(replace(SETTINGS, dropout=0.0))
    assert with_dropout.evaluate() == without.evaluate()
    assert with_dropout.step().loss != without.step().loss


def test_the_gradient_with_dropout_is_the_slope_of_the_loss_under_the_same_masks() -> None:
    from sg_core.kernels.team import Team
    from sg_core.network.batch_pass import BatchPass

    model = GPT2.random(CONFIG, seed=0)
    model.parameters.arena[:] += 0.05 * np.random.default_rng(0).standard_normal(model.parameters.arena.size)
    inputs, targets = dataset().batch(0, 4, 16, 0)
    batch, gradients = BatchPass(model.parameters, 4, 16, Team(1)), Parameters(CONFIG)
    batch.loss_and_gradients(inputs, targets, gradients, 0.3, 99)
    direction = gradients.arena / np.linalg.norm(gradients.arena)
    step, sides = 0.02, []
    for sign in (1, -1):
        model.parameters.arena[:] += sign * step * direction
        sides.append(batch.loss_and_gradients(inputs, targets, Parameters(CONFIG), 0.3, 99))
        model.parameters.arena[:] -= sign * step * direction
    slope = (sides[0] - sides[1]) / (2 * step)
    assert slope == pytest.approx(float(np.linalg.norm(gradients.arena)), rel=1e-2)  # finite difference in float32


def test_a_resumed_run_has_the_same_bits(tmp_path: Path) -> None:
    whole = trainer(threads=2)
    expected = losses(whole, 12)
    first = trainer()
    begun = losses(first, 5)
    first.save(tmp_path)
    again = Trainer.resume(tmp_path)
    assert begun + losses(again, 7) == expected
    assert np.array_equal(again.model.parameters.arena, whole.model.parameters.arena)
    assert again.evaluate() == whole.evaluate()


def test_a_resume_on_other_data_is_refused(tmp_path: Path) -> None:
    run = trainer()
    run.step()
    run.save(tmp_path)
    other = TextDataset("other", np.arange(40, dtype=np.int32), np.arange(20, dtype=np.int32), 40, 20)
    with pytest.raises(CheckpointError, match="numbers"):
        Trainer.resume(tmp_path, other)


def test_an_infinite_gradient_is_skipped_and_too_many_end_the_run_with_the_last_good_weights() -> None:
    run = trainer()
    run.step()
    good = run.model.parameters.arena.copy()
    run._optimizer.norm = lambda gradients: float("inf")  # type: ignore[method-assign]
    assert run.step().skipped
    assert np.array_equal(run.model.parameters.arena, good)
    assert run.skipped == 1
    with pytest.raises(TrainingError, match="not finite"):
        losses(run, 10)
    assert np.array_equal(run.model.parameters.arena, good)


def test_what_can_not_be_trained_is_refused_before_the_first_step() -> None:
    with pytest.raises(SettingError, match="context"):
        trainer(replace(SETTINGS, context=17))
    model = GPT2.random(CONFIG)
    model.parameters["wpe.weight"][0, 0] = np.nan
    with pytest.raises(TrainingError, match="wpe"):
        Trainer(model, dataset(), SETTINGS)
    with pytest.raises(DataError, match="vocabulary ends at 29"):
        Trainer(GPT2.random(replace(CONFIG, vocab_size=30)), dataset(), SETTINGS)
    for field, value in (("steps", 0), ("learning_rate", -1.0), ("dropout", 1.0), ("batch_size", 2.5)):
        with pytest.raises(SettingError, match=field):
            TrainingConfig(**{field: value})  # type: ignore[arg-type]

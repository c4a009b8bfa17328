"""Slots and the processes that share them: as many slots give the same bits, however many processes compute them.

The processes are threads here, and MPI an exchange among them; `test_cli_train_mpi` starts real ones.
"""

from __future__ import annotations

import atexit
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thread_mpi import Mpi, in_threads

from sg_core import GPT2, GPT2Config, TextDataset, Trainer, TrainingConfig
from sg_core.errors import CheckpointError, SettingError, SgError, TrainingError
from sg_core.kernels.adamw import NORM_BLOCK
from sg_core.kernels.team import Team
from sg_core.network.parameters import Parameters
from sg_core.storage.run_log import BACK, CHANGE
from sg_core.training.calibration import calibrate
from sg_core.training.follow import follow
from sg_core.training.memory_plan import plan_memory
from sg_core.training.mpi import LostError, MpiRanks, join, launched
from sg_core.training.ranks import ALONE, Ranks
from sg_core.training.results import LayerFigures
from sg_core.training.slots import SlotTree

CONFIG = GPT2Config(vocab_size=40, n_ctx=16, n_layer=2, n_head=2, n_embd=32)
SETTINGS = TrainingConfig(
    steps=6, batch_size=8, context=16, learning_rate=5e-3, warmup_steps=2, evaluate_every=0, seed=3, dropout=0.2,
    slots=8,
)  # fmt: skip
# several blocks of the norm, which ranges cut
WIDE = GPT2Config(vocab_size=40, n_ctx=16, n_layer=2, n_head=2, n_embd=128)


@pytest.fixture(autouse=True)
def no_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own end is not that of a process."""
    monkeypatch.setattr(atexit, "register", lambda function: function)


def dataset() -> TextDataset:
    ids = np.array([(7 * i * i + i) % 40 for i in range(600)], np.int32)
    return TextDataset("numbers", ids, ids[:333], 1200, 266)


def trainer(ranks: Ranks = ALONE, config: GPT2Config = CONFIG, **changes: Any) -> Trainer:
    return Trainer(GPT2.random(config, seed=0), dataset(), replace(SETTINGS, **changes), 1, ranks)


def numbers(run: Trainer) -> bytes:
    return run.validated_parameters.arena.tobytes()


def train(run: Trainer, steps: int = 3) -> list[Any]:
    """Everything that a run tells of some steps and a validation, and what it has learned."""
    told: list[Any] = [(done.loss, done.grad_norm) for done in (run.step() for _ in range(steps))]
    return [*told, run.evaluate().val_loss, numbers(run)]


def shared(
    size: int, make: Callable[[Ranks], Trainer], work: Callable[[Trainer], Any] = train
) -> tuple[Any, list[Trainer]]:
    """What the first of so many processes makes of its trainer, which the others follow; and all the trainers."""

    def process(mpi: Mpi) -> tuple[Any, Trainer]:
        ranks = MpiRanks(mpi)
        with ranks.agreed():
            run = make(ranks)
        ranks.require_same(run.identity)
        if ranks.rank:
            follow(run)
            return None, run
        with ranks.leading():
            return work(run), run

    done = in_threads(size, process)
    return done[0][0], [run for _, run in done]


# ---------------------------------------------------------------- slots


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 6, 7, 8, 12])
def test_gradients_of_slots_are_added_in_one_fixed_tree(slots: int) -> None:
    draws = np.random.default_rng(slots).standard_normal((slots, CONFIG.parameter_count)).astype(np.float32)
    tree = SlotTree(Parameters(CONFIG), slots)
    for _ in range(2):  # a second time: the rooms are as they were
        for draw in draws:
            tree.leaf().arena[:] += draw
            tree.add(Team(1))
        tree.finish(Team(1))
        assert tree.total.arena.tobytes() == added(draws).tobytes()
        tree.total.arena.fill(0.0)


def added(rows: Any) -> Any:
    """The sum of rows by the definition: the largest power of two of them that leaves some, and the rest."""
    if len(rows) == 1:
        return rows[0]
    first = 1 << (len(rows) - 1).bit_length() - 1
    return added(rows[:first]) + added(rows[first:])


@pytest.mark.parametrize(("batch_size", "accumulation"), [(8, 1), (8, 3), (1, 8), (3, 4)])
def test_slots_train_on_the_same_windows_with_the_same_loss(batch_size: int, accumulation: int) -> None:
    settings: dict[str, Any] = {"batch_size": batch_size, "accumulation": accumulation, "dropout": 0.0}
    whole, cut = (trainer(slots=slots, **settings) for slots in (1, 8 if accumulation != 4 else 2))
    for _ in range(2):
        one, other = whole.step(), cut.step()
        # float32 sums in another order
        assert math.isclose(one.loss, other.loss, rel_tol=1e-6)
        assert math.isclose(one.grad_norm, other.grad_norm, rel_tol=1e-5)


def test_each_slot_draws_dropout_masks_of_its_own() -> None:
    ids = np.zeros(200, np.int32)  # all windows alike
    run = Trainer(GPT2.random(CONFIG, seed=0), TextDataset("zeros", ids, ids, 200, 200), SETTINGS, 1)
    losses = [run._slot(slot) for slot in range(8)]
    assert len(set(losses)) == 8


def test_slots_that_divide_nothing_are_refused() -> None:
    with pytest.raises(SettingError, match="batch_size is 12, which 8 slots don't divide: take 8 or 16"):
        TrainingConfig(batch_size=12, slots=8)
    assert TrainingConfig.from_saved({"batch_size": 12}).slots == 1  # as every run was before


def test_slots_take_less_memory_for_activations() -> None:
    large = GPT2Config(vocab_size=40, n_ctx=256, n_layer=8, n_head=2, n_embd=32)
    settings = TrainingConfig(batch_size=64, context=256, evaluate_every=0)
    whole, cut = plan_memory(large, settings), plan_memory(large, replace(settings, slots=8))
    assert cut.batch < whole.batch / 3
    assert cut.gradients == 4 * whole.gradients  # the branches of the tree that wait


# ---------------------------------------------------------------- processes


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_as_many_slots_give_the_same_bits_in_any_number_of_processes(
    optimizer: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sg_core.training.mpi._CHUNK", 30_000)  # a range takes several messages
    settings: dict[str, Any] = {"optimizer": optimizer, "average": "ema"}
    told, runs = shared(size, lambda ranks: trainer(ranks, WIDE, **settings))
    assert told == train(trainer(config=WIDE, **settings))
    assert {numbers(run) for run in runs} == {told[-1]}
    assert sum(run._optimizer.first.size for run in runs) == WIDE.parameter_count > 5 * NORM_BLOCK
    assert max(run._optimizer.first.size for run in runs) < 1.5 * WIDE.parameter_count / size + 4 * WIDE.n_embd**2


def test_blocks_are_looked_at_in_any_number_of_processes() -> None:
    def looks(run: Trainer) -> list[LayerFigures]:
        run.watch.every = 2
        seen = []
        for _ in range(4):
            run.step()
            seen += [run.watch.figures] if run.watch.figures is not None else []
        return seen

    def dulled(ranks: Ranks = ALONE) -> Trainer:
        model = GPT2.random(WIDE, seed=0)
        model.parameters["h.1.mlp.c_fc.bias"][:128] = -50.0
        return Trainer(model, dataset(), SETTINGS, 1, ranks)

    alone = looks(dulled())
    assert [(one.step, one.layer) for one in alone] == [(2, 0), (4, 1)]
    assert alone[1].dead == 0.25
    for size in (2, 8):
        for one, other in zip(shared(size, dulled, looks)[0], alone, strict=True):
            # sums of float32 in another order
            assert one.grad_norm == pytest.approx(other.grad_norm, rel=1e-4)
            assert (one.step, one.layer, one.update_ratio, one.dead) == (
                other.step, other.layer, other.update_ratio, other.dead
            )  # fmt: skip


@pytest.mark.parametrize(("slots", "size"), [(6, 3), (12, 3), (1, 1), (3, 3)])
def test_slots_need_not_be_a_power_of_two(slots: int, size: int) -> None:
    settings: dict[str, Any] = {"slots": slots, "batch_size": 12}
    assert shared(size, lambda ranks: trainer(ranks, **settings))[0] == train(trainer(**settings))


def test_accumulated_batches_are_shared_where_a_batch_is_too_small() -> None:
    settings: dict[str, Any] = {"batch_size": 1, "accumulation": 16}
    assert shared(4, lambda ranks: trainer(ranks, **settings))[0] == train(trainer(**settings))


def test_an_adapter_and_teachers_are_trained_with_alike(tmp_path: Path) -> None:
    base = str(tmp_path / "base")
    GPT2.random(CONFIG, seed=5).save_pretrained(base)

    def adapted(ranks: Ranks = ALONE) -> Trainer:
        settings = replace(SETTINGS, lora="r=4,alpha=8,dropout=0.1,targets=c_attn", precision="int8", distill=base)
        return Trainer(GPT2.from_pretrained(base, "int8"), dataset(), settings, 1, ranks)

    assert shared(4, adapted)[0] == train(adapted())


@pytest.mark.parametrize("size", [3, 16])
def test_processes_that_slots_do_not_suit_are_refused_in_all_of_them(size: int) -> None:
    with pytest.raises(SettingError, match=f"slots is 8, which {size} processes can't share: start 1 or 2 or 4 or 8, "):
        shared(size, trainer)


def test_a_run_goes_on_in_another_number_of_processes(tmp_path: Path) -> None:
    whole = trainer(optimizer="muon")
    train(whole, 4)

    def save(run: Trainer) -> None:
        train(run, 2)
        run.save(tmp_path / "run")
        run.save(tmp_path / "again")  # the room of the gradients has been lent, and is what it was

    def go_on(run: Trainer) -> Any:
        return train(run, 2)[-1]

    shared(4, lambda ranks: trainer(ranks, optimizer="muon"), save)
    for size in (1, 2, 8):
        told, _ = shared(size, lambda ranks: Trainer.resume(tmp_path / "run", threads=1, ranks=ranks), go_on)
        assert told == numbers(whole)
    alone = Trainer.resume(tmp_path / "again")
    train(alone, 2)
    assert numbers(alone) == numbers(whole)


def test_what_is_done_to_a_run_while_it_trains_is_done_in_all_processes(tmp_path: Path) -> None:
    def steer(run: Trainer) -> Any:
        run.save(tmp_path / str(run.ranks.size))
        told = train(run, 2)
        with run.unchanged():
            run.step(0.5)
        told += train(run, 1)
        for kind, values in ((BACK, {"to": 0}), (CHANGE, {"learning_rate": 1e-3})):
            run.prepared(run.steering.next(run.step_count, kind, values))()
        return told + train(run, 2)

    told, runs = shared(4, lambda ranks: trainer(ranks, average="mean", average_fraction=1.0), steer)
    assert told == steer(trainer(average="mean", average_fraction=1.0))
    assert told[0] == told[7]  # back at the first step
    assert told[1] != told[8]  # with another rate
    assert {numbers(run) for run in runs} == {told[-1]}


def test_a_save_that_fails_leaves_all_processes_able_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    def fail(run: Trainer) -> Any:
        run.step()
        with pytest.raises(CheckpointError):
            run.save(tmp_path / "file")
        run.shared.collect("first_moment")  # as far as a save comes that fails later
        run.shared.clear()
        return train(run, 2)

    whole = trainer()
    whole.step()
    assert shared(2, trainer, fail)[0] == train(whole, 2)


def test_a_step_without_a_finite_loss_is_skipped_in_all_processes() -> None:
    def break_down(run: Trainer) -> str:
        run.model.parameters.arena[0] = np.nan  # in the first process alone: its slots' loss is not finite
        with pytest.raises(TrainingError, match="not finite in 5 steps") as raised:
            train(run, 5)
        return str(raised.value)

    _, runs = shared(2, lambda ranks: trainer(ranks, steps=9), break_down)
    assert [(run.step_count, run.skipped) for run in runs] == [(5, 5)] * 2


def test_a_validation_stops_in_all_processes_and_a_calibration_is_the_first_ones() -> None:
    def ask(run: Trainer) -> Any:
        assert math.isnan(run.evaluate(lambda: True).val_loss)
        return calibrate(run), run.evaluate().val_loss

    alone = trainer(dropout=0.0)
    assert shared(4, lambda ranks: trainer(ranks, dropout=0.0), ask)[0] == ask(alone)


def test_a_signal_of_any_process_reaches_the_first_one() -> None:
    def make(ranks: Ranks) -> Trainer:
        ranks.wish = lambda: 143 if ranks.rank == 1 else 0
        return trainer(ranks)

    def step(run: Trainer) -> int:
        run.step()
        return run.ranks.wished

    assert shared(2, make, step)[0] == 143


def test_what_one_process_can_not_do_none_of_them_does() -> None:
    def make(ranks: Ranks) -> Trainer:
        if ranks.rank == 1:
            raise CheckpointError("no such file")
        return trainer(ranks)

    with pytest.raises(SgError, match=r"^(process 2 of 4: )?no such file$"):
        shared(4, make)


def test_processes_with_other_weights_do_not_train_together() -> None:
    def make(ranks: Ranks) -> Trainer:
        return trainer(ranks, seed=3 + (ranks.rank == 2))

    with pytest.raises(SgError, match="process 3 of 4 has another text, other settings or other weights"):
        shared(4, make)


def test_a_process_whose_others_are_gone_says_so() -> None:
    def lose(run: Trainer) -> None:
        run.step()
        run.ranks._world._world.barrier.abort()  # type: ignore[attr-defined]
        with pytest.raises(LostError, match="another process of the run has ended; --resume goes on"):
            run.step()
        run.step()  # not even begun

    with pytest.raises(LostError):
        shared(2, trainer, lose)


# ---------------------------------------------------------------- launchers


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),  # of a batch script, which nobody launched
        ({"PMI_RANK": "1", "PMI_SIZE": "4"}, (1, 4)),
        ({"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "3", "PMIX_RANK": "2"}, (2, 3)),
        ({"PMIX_RANK": "1", "SLURM_STEP_NUM_TASKS": "2"}, (1, 2)),
        ({"PMIX_RANK": "1"}, (1, 0)),
        ({"PMI_RANK": "x"}, None),
    ],
)
def test_a_launcher_is_known_by_its_variables(environment: dict[str, str], found: tuple[int, int] | None) -> None:
    assert launched(environment) == found


def test_without_a_launcher_a_process_is_alone() -> None:
    assert join() is ALONE

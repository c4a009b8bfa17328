"""`sg-tui train`: train a model on a text, or go on with an earlier run."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sg_core.config import GPT2Config
from sg_core.errors import CheckpointError, SettingError
from sg_core.files import given_path
from sg_core.training.settings import FIELD, FINE_TUNE, PRESETS, TrainingConfig, fine_tuning
from sg_tui.commands.options import add_json, add_settings, add_threads, given_settings, whole
from sg_tui.commands.output import Output
from sg_tui.commands.training_plan import tell_learning_rate, tell_plan

if TYPE_CHECKING:
    from sg_core.engine.run_control import ControlCommand
    from sg_core.storage.lock import FileLock
    from sg_core.training.preparation import RunRequest
    from sg_core.training.ranks import Ranks
    from sg_core.training.trainer import Trainer

HELP = "train a model on a text"
DESCRIPTION = """\
Train a new model (--config), or fine-tune one (--model), and print its progress. The text's first 90% of characters
train, its last 10% validate, or what --hold-out names. Checkpoints go to --out; a run that was stopped or killed goes
on with --resume and gives the numbers it would have given; with a higher --steps it goes on beyond its end, at the
learning rate it ended with. Ctrl-C saves and stops, twice it stops at once; SIGTERM, SIGHUP and a pipe that nobody
reads any more do the same. At the end the model of the best checkpoint lies in OUT/model in Hugging Face layout:
sg-tui --model OUT/model. With --lora an adapter learns beside a model that stays as it is, in any --precision: much
less memory; it lies in OUT/adapter in PEFT's files: sg-tui complete PROMPT --model M --adapter OUT.
mpiexec -n R sg-tui train shares the slots of each batch out over R processes, on one machine or several.
"""
# option -> field of GPT2Config, help
_SIZES = {
    "--vocab-size": ("vocab_size", "tokens of the vocabulary, learned from the text"),
    "--layers": ("n_layer", "blocks"),
    "--heads": ("n_head", "attention heads of a block"),
    "--embd": ("n_embd", "width of a token's vector"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="TEXT",
        help="tinyshakespeare (default), python-docs, text files (.gz and .jsonl too) and folders of them; an end "
        "token stands between two",
    )
    parser.add_argument("--field", metavar="NAME", help=f"of JSON lines, which holds the text (default: {FIELD})")
    parser.add_argument("--plain", action="store_true", help="<|endoftext|> in the text is no end token but plain text")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--model", metavar="M", help="fine-tune this model, with its own vocabulary")
    start.add_argument("--config", choices=list(PRESETS), metavar="NAME", help=f"a new model: {_presets()}")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (default: a new one in the data folder)")
    parser.add_argument(
        "--resume",
        metavar="DIR",
        help="go on with the run in this folder; --lr, --final-lr-fraction, --schedule, --decay-fraction and --dropout "
        "then change it from here on, into another --out it is a fork",
    )
    parser.add_argument(
        "--back-to-best", action="store_true", help="with --resume: go on from the step with the lowest validation loss"
    )
    settings = parser.add_argument_group("training", f"what differs from the preset, or with --model from {FINE_TUNE}")
    add_settings(settings, TrainingConfig, usual=False)
    sizes = parser.add_argument_group("sizes of a new model", "what differs from the preset")
    for option, (field, text) in _SIZES.items():
        sizes.add_argument(option, dest=field, type=whole(1), metavar="N", help=text)
    parser.add_argument(
        "--sample-every",
        type=whole(0),
        default=250,
        metavar="N",
        help="steps between two samples of text; 0 never",
    )
    parser.add_argument(
        "--watch",
        type=whole(0),
        default=0,
        metavar="N",
        help="steps between two looks at a block, each at the next one: norm of its gradient, update by weight (about "
        "1e-3 is well), share of dead GELUs; 0 never (0)",
    )
    parser.add_argument("--sample-prompt", default="\n", metavar="TEXT", help="what a sample continues (a line break)")
    parser.add_argument(
        "--export-dtype",
        choices=("F32", "F16", "BF16"),
        default="F32",
        help="numbers of the model in OUT/model",
    )
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="scale the final norm of the model in OUT/model for the lowest validation loss",
    )
    before = parser.add_mutually_exclusive_group()
    before.add_argument(
        "--plan", action="store_true", help="tell memory, time (from measured steps) and sizes, and train nothing"
    )
    before.add_argument(
        "--find-lr", action="store_true", help="try all learning rates on a copy, tell the losses and suggest one"
    )
    add_threads(parser)
    add_json(parser)


def run(args: argparse.Namespace, output: Output) -> int:
    """Train."""
    from sg_core.storage.lock import lock_run
    from sg_core.training.mpi import join, launched
    from sg_tui.commands.training_follower import follow_first

    output.silent = (launched() or (0, 1))[0] > 0  # the first process tells
    if args.back_to_best and args.resume is None:
        raise SettingError("--back-to-best goes back within a run that is there: name it, --resume DIR")
    ranks = join()
    lock: FileLock | None = None
    try:
        with ranks.agreed():
            folder = _folder_to_go_on_in(args) if args.resume is not None else _out(args)
            if folder is not None and ranks.rank == 0 and not (args.plan or args.find_lr):
                lock = lock_run(folder)
            trainer, request, asked = _prepared(args, output, folder, ranks)
        ranks.require_same(trainer.identity)
        for turn in (True, False):  # what the first process compiles, the others read
            with ranks.agreed():
                if (ranks.rank == 0) == turn:
                    _warm_up(trainer.config, output)
        if ranks.rank > 0:
            return follow_first(trainer, output)
        with ranks.leading():
            return _train(trainer, args, output, folder, request, asked, lock)
    finally:
        if lock is not None:
            lock.release()


def _prepared(
    args: argparse.Namespace, output: Output, folder: Path | None, ranks: Ranks
) -> tuple[Trainer, RunRequest, list[ControlCommand]]:
    """The trainer of what was asked for, at its first or next step, and what is done to the run before that.

    folder: of the run, None for a new one.
    """
    from sg_core.storage.runs import require_new
    from sg_core.training.memory_plan import plan_memory
    from sg_core.training.mpi import SLOTS, launched
    from sg_core.training.preparation import RunRequest, prepare_training, with_absolute_paths

    if args.slots is None and args.resume is None and launched() is not None:
        args.slots = SLOTS
    sizes = {field: getattr(args, field) for field, _ in _SIZES.values() if getattr(args, field) is not None}
    training = with_absolute_paths(given_settings(args, TrainingConfig))
    config, settings = _config(args, sizes, training), _training(args, training)
    request = RunRequest(_data(args), args.model, config, settings, args.field or FIELD, args.plain)
    only_told = args.plan or args.find_lr
    if folder is not None and args.resume is None and not only_told and ranks.rank == 0:
        require_new(folder)
    if args.resume is None and request.config is not None and not only_told:
        output.note(f"memory: {plan_memory(request.config, request.training, ranks=ranks)}{_each(ranks)}")
    output.progress("starting the engine")
    trainer = prepare_training(
        data=request.data,
        field=request.field,
        model=request.model,
        config=request.config,
        training=request.training,
        plain=request.plain,
        resume=args.resume,
        progress=output.progress,
        threads=args.threads,
        ranks=ranks,
    )
    if left_out := trainer.dataset.left_out:
        output.note(f"{len(left_out)} files of the folders are no texts and left out, first {left_out[0]}")
    if (args.resume is not None or request.config is None) and not only_told:
        output.note(f"memory: {trainer.memory_plan}{_each(ranks)}")
    if trainer.config.lora:
        learning = trainer.validated_parameters.arena.size
        output.note(f"an adapter of {learning:,} numbers learns; the model's own, in {trainer.config.precision}, stay")
    asked: list[ControlCommand] = []
    if args.resume is not None:
        _require_same(trainer, args, sizes, training)
        _go_on(trainer, args.steps, output)
        asked = _asked(trainer, args, training)
    return trainer, request, asked


def _each(ranks: Ranks) -> str:
    return f" in each of {ranks.size} processes" if ranks.size > 1 else ""


def _warm_up(config: TrainingConfig, output: Output) -> None:
    from sg_core.measure.compilation import warm_up, warm_up_adapters

    if config.lora:
        warm_up_adapters(True, output.compiling, config.precision)
    else:
        recompute, teachers = config.recompute == "on", bool(config.teachers)
        warm_up(True, output.compiling, optimizer=config.optimizer, teachers=teachers, recompute=recompute)


def _train(
    trainer: Trainer,
    args: argparse.Namespace,
    output: Output,
    folder: Path | None,
    request: RunRequest,
    asked: list[ControlCommand],
    lock: FileLock | None,
) -> int:
    """folder: of the run, None for a new one of the data folder; lock: of a folder that is there."""
    from sg_core.storage.lock import lock_run
    from sg_core.storage.runs import new_run_folder
    from sg_core.training.preparation import write_request
    from sg_tui.commands.training_loop import train

    if args.plan or args.find_lr:
        return (tell_plan if args.plan else tell_learning_rate)(trainer, args, output)
    if args.resume is None:  # only now: a training that is refused leaves no folder and no promise
        folder = folder or new_run_folder(args.model or args.config or "tiny")
        write_request(folder, request)
        output.note(f"the run's folder is {folder}; sg-tui train --resume {folder} goes on with it")
    assert folder is not None
    lock = lock or lock_run(folder)
    try:
        return train(trainer, folder, args, output, lock, asked)
    finally:
        if lock is not None:
            lock.release()


def _asked(trainer: Trainer, args: argparse.Namespace, training: dict[str, Any]) -> list[ControlCommand]:
    """What is done to a resumed run before it goes on."""
    from sg_core.engine.commands import BackToBest, ChangeTraining
    from sg_core.training.steering import LIVE

    asked: list[ControlCommand] = [BackToBest()] if args.back_to_best else []
    have = _fields(trainer.config)
    values = {name: training[name] for name in LIVE if training.get(name, have[name]) != have[name]}
    return [*asked, ChangeTraining(values)] if values else asked


def _go_on(trainer: Trainer, steps: int | None, output: Output) -> None:
    """A resumed run ends where it was to end, or at another step. Raises SettingError."""
    planned = trainer.config.schedule_steps or trainer.config.steps
    if steps is not None and steps != trainer.config.steps:
        trainer.end_at(steps)
        if steps > planned:
            rate = trainer.config.learning_rate * trainer.config.final_lr_fraction
            output.note(f"the learning rate falls as it was planned, until step {planned:,}, then stays at {rate:.3g}")
    elif trainer.finished:
        output.note(f"the run is finished at step {trainer.step_count:,}; --steps N, with a higher N, goes on with it")


def _out(args: argparse.Namespace) -> Path | None:
    return given_path(args.out, CheckpointError) if args.out else None


def _folder_to_go_on_in(args: argparse.Namespace) -> Path:
    from sg_core.storage.manifest import MANIFEST

    if args.out is None and (given_path(args.resume, CheckpointError) / MANIFEST).is_file():
        raise SettingError(f"{args.resume} is one checkpoint of a run; give --out DIR for the run that goes on from it")
    return given_path(args.out or args.resume, CheckpointError)


def _presets() -> str:
    return "; ".join(f"{name} ({preset.description.split(':')[0]})" for name, preset in PRESETS.items())


def _config(args: argparse.Namespace, sizes: dict[str, Any], training: dict[str, Any]) -> GPT2Config | None:
    """The sizes of a new model; None to fine-tune one. Raises SettingError."""
    if args.model is not None:
        if sizes:
            raise SettingError("a model that is fine-tuned keeps its sizes; leave out --vocab-size, --layers, ...")
        return None
    config = replace(PRESETS[args.config or "tiny"].config, **sizes)
    return replace(config, n_ctx=training.get("context", config.n_ctx))


def _training(args: argparse.Namespace, given: dict[str, Any]) -> TrainingConfig:
    if given.get("lora") and args.model is None and args.resume is None:
        raise SettingError("--lora trains an adapter on a model that is there: name it, --model M")
    if given.get("lora") and args.calibrate:
        raise SettingError("--calibrate scales the final norm of a model, which an adapter leaves as it is: choose one")
    if args.model is None:
        return replace(PRESETS[args.config or "tiny"].training, **given)
    from sg_core.storage.hub import resolve
    from sg_core.storage.pretrained import read_config

    # a resumed run keeps its settings, and its model may be gone
    n_ctx = (GPT2Config() if args.resume else read_config(resolve(args.model), given.get("precision", "f32"))).n_ctx
    return replace(fine_tuning(n_ctx), **given)


def _require_same(trainer: Trainer, args: argparse.Namespace, sizes: dict[str, Any], training: dict[str, Any]) -> None:
    """A resumed run keeps its data and settings, but for those that can change while it trains.

    Raises SettingError, listing what was asked to be different.
    """
    from sg_core.training.steering import LIVE

    asked = {name: value for name, value in training.items() if name != "steps"}
    if args.config is not None:
        preset = {**_fields(PRESETS[args.config].training), "slots": trainer.config.slots}  # a launcher's may differ
        asked = {**preset, **asked}
    asked = {name: value for name, value in asked.items() if name not in LIVE}
    have = {**_fields(trainer.config), "steps": trainer.config.schedule_steps or trainer.config.steps}
    differing = [f"{name} {have[name]}, not {value}" for name, value in asked.items() if have[name] != value]
    for name, value in sizes.items():
        has = getattr(trainer.model.config, name)
        # a short text gives fewer tokens than asked for
        if has != value and not (name == "vocab_size" and has < value):
            differing.append(f"{name} {has}, not {value}")
    if args.data is not None and not _is_same_data(trainer, args.data, args.field or FIELD):
        differing.append(f"its text {trainer.dataset.name}, not {', '.join(args.data)} as it is now")
    if args.model is not None and args.model != trainer.model.name:
        differing.append(f"its model {trainer.model.name}, not {args.model}")
    if differing:
        raise SettingError(f"the run in {args.resume} keeps its settings: {'; '.join(differing)}; leave these out")


def _fields(training: TrainingConfig) -> dict[str, Any]:
    return {name: getattr(training, name) for name in TrainingConfig.__dataclass_fields__}


def _is_same_data(trainer: Trainer, data: list[str], field: str) -> bool:
    from sg_core.training.dataset import TextDataset
    from sg_core.training.hold_out import held_out
    from sg_core.training.texts import read_texts

    if trainer.model.tokenizer is None:
        return False
    texts, tokenizer, hold_out = read_texts(data, field), trainer.model.tokenizer, trainer.config.hold_out

    def fingerprint(plain: bool) -> str:
        whole = TextDataset.from_texts(texts, tokenizer, plain=plain)
        return held_out(whole, hold_out, tokenizer, plain=plain).fingerprint

    return any(fingerprint(plain) == trainer.dataset.fingerprint for plain in (False, True))


def _data(args: argparse.Namespace) -> str | tuple[str, ...]:
    sources = args.data or ["tinyshakespeare"]
    return sources[0] if len(sources) == 1 else tuple(sources)

"""From what a person asks for (a text, a model or its sizes, settings) to a Trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sg_core.config import GPT2Config
from sg_core.errors import CheckpointError, DataError, SettingError, TrainingError
from sg_core.files import absolute, expanded, given_path, shown
from sg_core.storage import runs
from sg_core.storage.run_log import read_events
from sg_core.training.ranks import ALONE, Ranks
from sg_core.training.settings import FIELD, NEW_MODEL, PARTS, TrainingConfig
from sg_core.types import Cancelled, Progress

if TYPE_CHECKING:
    from sg_core.gpt2 import GPT2
    from sg_core.training.texts import Texts
    from sg_core.training.trainer import Trainer


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run was asked to be, as for `prepare_training`."""

    data: str | tuple[str, ...]
    model: str | None
    config: GPT2Config | None
    training: TrainingConfig
    field: str = FIELD
    plain: bool = False


def prepare_training(
    *,
    data: str | Sequence[str],
    model: str | None,
    config: GPT2Config | None,
    training: TrainingConfig,
    field: str = FIELD,
    plain: bool = False,
    resume: str | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    threads: int | None = None,
    ranks: Ranks = ALONE,
) -> Trainer:
    """A trainer that is ready for its first (or, after a resume, its next) step.

    data, field: one or several sources, as for texts.read_texts. model: a model to fine-tune, with its own vocabulary;
    None for a new one of `config`, whose vocabulary of `config.vocab_size` entries is learned from the training part of
    the text (a short text gives fewer). plain: special tokens in the text, "<|endoftext|>" between documents, are plain
    text. resume: folder of an earlier run; everything but `threads` then comes from its
    newest checkpoint, or from its request (`write_request`) when it had none yet.
    ranks: the processes that train together, of which each prepares itself.
    progress: called with (what, done, total). cancelled: asked now and then; True raises DataError.

    Raises SettingError, DataError, DownloadError, ModelFileError, CheckpointError or TrainingError.
    """
    from sg_core.gpt2 import GPT2
    from sg_core.training.trainer import Trainer

    if resume is not None:
        folder = given_path(resume, CheckpointError)
        request = _request_without_checkpoint(folder)
        if request is None:
            return Trainer.resume(folder, threads=threads, ranks=ranks)
        data, model, config = request.data, request.model, request.config
        training, field, plain = request.training, request.field, request.plain

    ranks.require_slots(training.slots)
    from sg_core.training.dataset import TextDataset
    from sg_core.training.hold_out import held_out
    from sg_core.training.memory_plan import loaded_bytes, require_training_memory
    from sg_core.training.steering import Steering
    from sg_core.training.texts import read_texts

    sources = [data] if isinstance(data, str) else data
    if model is None and training.lora:
        raise SettingError("an adapter is trained on a model that is there: name it, --model M")
    if model is None:
        shape = config or GPT2Config()
        _require_context(training.context, shape)
        require_training_memory(shape, training, ranks=ranks)
        texts = read_texts(sources, field, progress, cancelled)
        _require_length(texts, training.context)
        start = _new_model(texts, shape, training.seed, progress, cancelled)
    else:
        start = GPT2.from_pretrained(model, training.precision)
        _require_context(training.context, start.config)
        require_training_memory(start.config, training, loaded_bytes(start.config, training), ranks=ranks)
        texts = read_texts(sources, field, progress, cancelled)
    if start.tokenizer is None:
        raise TrainingError(f"{shown(start.name)} has no tokenizer files, so it can't be trained on a text")
    dataset = TextDataset.from_texts(texts, start.tokenizer, progress, cancelled, plain=plain)
    dataset = held_out(dataset, training.hold_out, start.tokenizer, plain=plain)
    dataset.require(training.context)
    trainer = Trainer(start, dataset, training, threads, ranks)
    if resume is not None:
        trainer.steering = Steering(log=read_events(expanded(resume)))
    return trainer


def _require_context(context: int, config: GPT2Config) -> None:
    if context > config.n_ctx:
        raise SettingError(f"context is {context}; the model's own context is {config.n_ctx}, the most it can be")


def _require_length(texts: Texts, context: int) -> None:
    """Raises DataError for texts that no vocabulary makes long enough: a character has four bytes at most."""
    if 4 * texts.characters <= context:
        raise DataError(
            f"{shown(texts.name)} has {texts.characters:,} characters, fewer bytes than a context of {context:,} has "
            "tokens: use a longer text or a shorter context"
        )


def _new_model(
    texts: Texts,
    config: GPT2Config,
    seed: int,
    progress: Progress | None,
    cancelled: Cancelled | None,
) -> GPT2:
    """A random model whose vocabulary is learned from the training part of the texts."""
    from sg_core.gpt2 import GPT2
    from sg_core.text.vocabulary import LARGEST_SAMPLE, learn_vocabulary
    from sg_core.training.dataset import train_characters

    def learned(done: int, total: int) -> None:
        if cancelled is not None and cancelled():
            raise DataError("learning the vocabulary was stopped")
        if progress is not None:
            progress("vocabulary", done, total)

    text = texts.beginning(min(train_characters(texts), LARGEST_SAMPLE))
    tokenizer = learn_vocabulary(text, config.vocab_size, learned)
    model = GPT2.random(
        replace(config, vocab_size=tokenizer.vocab_size), seed=seed, tokenizer=tokenizer, name=NEW_MODEL
    )
    model.parameters.initialize_small(seed)
    return model


def write_request(folder: Path, request: RunRequest) -> None:
    """Put a run's request into its folder, so that a run that is killed before its first checkpoint can be resumed.

    Raises CheckpointError when it can't be written, or when the folder holds checkpoints of an earlier run.
    """
    several = not isinstance(request.data, str) or request.field != FIELD
    sources = [request.data] if isinstance(request.data, str) else request.data
    local = {
        "format": 2 if several else 1,  # version 0.1 reads a run of one text
        "data": [absolute(source) for source in sources] if several else absolute(sources[0]),
        "model": request.model and absolute(request.model),
    }
    runs.write_request(folder, asdict(request) | local)


def with_absolute_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, by field, whose teachers and held-out file mean the same from every folder."""
    found = dict(settings)
    if "distill" in found:
        found["distill"] = ",".join(absolute(name.strip()) for name in found["distill"].split(",") if name.strip())
    if found.get("hold_out", "") not in ("", *PARTS):
        found["hold_out"] = absolute(found["hold_out"])
    return found


def _request_without_checkpoint(folder: Path) -> RunRequest | None:
    """The request of a run that was killed before it saved anything; None for any other folder."""
    found = runs.read_request(folder)
    if found is None:
        return None
    try:
        config = None if found["config"] is None else GPT2Config.from_saved(found["config"])
        training = TrainingConfig.from_saved(found["training"])
        field, plain = str(found.get("field", FIELD)), bool(found.get("plain", False))
        model = found["model"]
        if not isinstance(model, str | None) or (model is None and config is None):
            raise ValueError("its model is no name")
        return RunRequest(_sources(found["data"]), model, config, training, field, plain)
    except KeyError as problem:
        raise CheckpointError(f"{shown(folder / runs.REQUEST)} can't be used: it has no {problem.args[0]}") from problem
    except (AttributeError, TypeError, ValueError) as problem:
        raise CheckpointError(f"{shown(folder / runs.REQUEST)} can't be used: {shown(problem)}") from problem


def _sources(found: object) -> str | tuple[str, ...]:
    """The texts of a request. Raises ValueError for anything but names of them."""
    if isinstance(found, str):
        return found
    if not isinstance(found, list) or not found or not all(isinstance(name, str) for name in found):
        raise ValueError("its data is no name of a text, and no list of such names")
    return tuple(found)

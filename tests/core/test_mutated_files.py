"""Every kind of file that is read, changed in thousands of ways: read, or refused in one line; no hang, no memory.

The short form tries a few of each kind; the slow one 4,000 of each, 68,000 in all. What the app keeps for itself is
tried beside it (tests/tui/library/test_mutated_files.py).
"""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from mutations import FEW, MANY, MOST_BYTES, refusals
from tokenizer_folders import VOCABULARY, added, byte_level, decoder_entry, fast, write_files

from sg_core.config import GPT2Config
from sg_core.errors import SgError
from sg_core.files import shown
from sg_core.gpt2 import GPT2
from sg_core.network.adapters import new_adapter
from sg_core.network.lora_settings import LoraSettings
from sg_core.storage.hub import resolve
from sg_core.storage.peft_file import read_adapter, write_adapter
from sg_core.storage.run_log import CHANGE, FORKED, RunEvent, read_events, write_events
from sg_core.text.templates import read_own
from sg_core.training.dataset import TextDataset
from sg_core.training.preparation import RunRequest, prepare_training, write_request
from sg_core.training.settings import TrainingConfig
from sg_core.training.trainer import Trainer

WORDS = VOCABULARY | {"ab": 257}
SHAPE = GPT2Config(vocab_size=258, n_ctx=16, n_layer=1, n_head=2, n_embd=8)


def load_model(folder: Path) -> None:
    model = GPT2.from_pretrained(str(folder))
    if model.tokenizer is not None:
        model.tokenizer.decode(model.tokenizer.encode("a text <|endoftext|>", special=True))


def whole_model(folder: Path) -> None:
    GPT2.random(SHAPE).save_pretrained(folder)
    marks = {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"}
    write_files(
        folder, vocab=WORDS, merges=[("a", "b")], added_tokens={"<|endoftext|>": 256}, special_tokens_map=marks,
        tokenizer_config={**marks, "added_tokens_decoder": {"256": decoder_entry("<|endoftext|>")}},
        generation_config={"eos_token_id": [256]},
    )  # fmt: skip


def fast_model(folder: Path) -> None:
    whole_model(folder)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    content = fast(WORDS, ["a b"], added(256, "<|endoftext|>"))
    content["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}
    digits = {"type": "Digits", "individual_digits": True}
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, byte_level()]}
    write_files(folder, tokenizer=content, tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast"})


def sharded_model(folder: Path) -> None:
    whole_model(folder)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    names = [name for name, _ in GPT2.random(SHAPE).parameters.items()]
    index = {"weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def adapter(folder: Path) -> None:
    settings = LoraSettings(r=2)
    write_adapter(folder, new_adapter(settings, SHAPE, 0), settings, "base")


def request(folder: Path) -> None:
    (folder / "text.txt").write_text("a few words\n" * 40)
    training = TrainingConfig(steps=2, batch_size=1, context=8, warmup_steps=0, evaluate_every=0)
    write_request(folder, RunRequest(str(folder / "text.txt"), None, SHAPE, training))


def load_request(folder: Path) -> None:
    prepare_training(data="x", model=None, config=None, training=TrainingConfig(), resume=str(folder), threads=1)


def checkpoint(folder: Path) -> None:
    ids = np.arange(100, dtype=np.int32) % 50
    training = TrainingConfig(steps=5, batch_size=1, context=8, warmup_steps=0, evaluate_every=0)
    Trainer(GPT2.random(SHAPE), TextDataset("numbers", ids, ids, 300, 300), training, threads=1).save(folder)


def resume(folder: Path) -> None:
    Trainer.resume(folder, threads=1)
    resolve(str(folder))


def log(folder: Path) -> None:
    events = [RunEvent(1, 0, 3, CHANGE, {"learning_rate": 1e-3}), RunEvent(2, 1, 5, FORKED, {"folder": "another"})]
    write_events(folder, events * 3)


def read_log(folder: Path) -> None:
    for event in read_events(folder):
        assert shown(event.words)


def templates(folder: Path) -> None:
    (folder / "templates.toml").write_text(
        '[mine]\nperson = ["Q: ", "\\n"]\nmodel = ["A: ", "\\n"]\nbegin = ""\nstop = ["Q:"]\n'
    )


# what makes the folder, what reads it, the file that is changed
KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object], str]] = {
    "weights": (whole_model, load_model, "model.safetensors"),
    "config": (whole_model, load_model, "config.json"),
    "vocabulary": (whole_model, load_model, "vocab.json"),
    "merges": (whole_model, load_model, "merges.txt"),
    "added tokens": (whole_model, load_model, "added_tokens.json"),
    "special tokens": (whole_model, load_model, "special_tokens_map.json"),
    "tokenizer config": (whole_model, load_model, "tokenizer_config.json"),
    "generation config": (whole_model, load_model, "generation_config.json"),
    "tokenizer": (fast_model, load_model, "tokenizer.json"),
    "shard index": (sharded_model, load_model, "model.safetensors.index.json"),
    "adapter config": (adapter, lambda folder: read_adapter(folder, SHAPE), "adapter_config.json"),
    "adapter weights": (adapter, lambda folder: read_adapter(folder, SHAPE), "adapter_model.safetensors"),
    "request of a run": (request, load_request, "run.json"),
    "manifest": (checkpoint, resume, "step-*/manifest.json"),
    "state of a run": (checkpoint, resume, "step-*/info.json"),
    "array of a run": (checkpoint, resume, "step-*/arrays/parameters.npy"),
    "log of a run": (log, read_log, "events.jsonl"),
    "own templates": (templates, read_own, "templates.toml"),
}


@pytest.fixture
def memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("memory")
def test_a_mutated_file_is_read_or_refused_in_a_line(
    kind: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SG_HOME", str(tmp_path / "home"))
    for asked in ("memory", "training.memory_plan"):  # what is planned beyond this must be refused
        monkeypatch.setattr(f"sg_core.{asked}.available_memory", lambda: MOST_BYTES)
    make, read, pattern = KINDS[kind]
    folder = tmp_path / "it"
    folder.mkdir()
    make(folder)
    read(folder)
    [path] = folder.glob(pattern)
    assert refusals(path, count, kind, lambda: read(folder), SgError) > count // 10  # else this shows nothing
    shutil.rmtree(folder)

"""Checkpoints that someone made: whatever they say, the answer is one harmless line, and no memory to speak of."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sg_core.config import GPT2Config
from sg_core.errors import CheckpointError
from sg_core.gpt2 import GPT2
from sg_core.storage.manifest import MANIFEST, manifest_bytes
from sg_core.training.dataset import TextDataset
from sg_core.training.settings import TrainingConfig
from sg_core.training.trainer import Trainer

STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 3, 1 << 70, 1e300, -0.5, "", "x", "\x1b[2J", "<f4", [], [1], [1 << 40, 1 << 40], {}, {"a": 1},
    {"\x1b]0;title\x07": 1},
)  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a real training; never changed."""
    ids = np.arange(100, dtype=np.int32) % 50
    config = GPT2Config(vocab_size=60, n_ctx=16, n_layer=1, n_head=1, n_embd=8)
    dataset = TextDataset("numbers", ids, ids, 300, 300)
    training = TrainingConfig(steps=5, batch_size=1, context=8, warmup_steps=0, evaluate_every=0)
    trainer = Trainer(GPT2.random(config), dataset, training, threads=1)
    return trainer.save(tmp_path_factory.mktemp("run"))


def forged(good: Path, folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Path:
    """A copy whose manifest and info were changed, and sealed as if they were our own."""
    shutil.copytree(good, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    info = json.loads((folder / "info.json").read_text())
    before = json.dumps(info)
    change(manifest, info)
    if json.dumps(info) != before:
        data = json.dumps(info).encode()
        (folder / "info.json").write_bytes(data)
        manifest["files"]["info.json"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest.pop("sha256", None)
    manifest.pop("format", None)
    (folder / MANIFEST).write_bytes(
        manifest_bytes(*(manifest.pop(key, None) for key in ("step", "serial", "best", "files")))
    )
    return folder


def refusal(folder: Path) -> str:
    """Why it can't be resumed; "" when it can."""
    try:
        Trainer.resume(folder, threads=1)
    except CheckpointError as problem:
        said = str(problem)
        assert said.isprintable()
        return said
    return ""


def test_a_copy_with_nothing_changed_is_taken(good: Path, tmp_path: Path) -> None:
    assert refusal(forged(good, tmp_path / "copy", lambda manifest, info: None)) == ""


@pytest.mark.parametrize("field", ["step", "serial", "best", "files"])
def test_a_manifest_without_a_field_is_no_manifest(good: Path, tmp_path: Path, field: str) -> None:
    said = refusal(forged(good, tmp_path / "copy", lambda manifest, info: manifest.pop(field) and None))
    assert "its step, serial, best or files are wrong" in said


@pytest.mark.parametrize(
    "field",
    ["name", "model", "training", "data", "updates", "skipped", "skipped_in_a_row", "best_val_loss", "best_step"],
)
def test_a_training_without_a_field_is_refused_by_its_name(good: Path, tmp_path: Path, field: str) -> None:
    assert f"its {field} is missing" in refusal(
        forged(good, tmp_path / "copy", lambda manifest, info: info.pop(field, 0) and None)
    )


def test_an_array_larger_than_its_file_is_refused_before_memory_is_taken(good: Path, tmp_path: Path) -> None:
    def grow(manifest: dict[str, Any], info: dict[str, Any]) -> None:
        manifest["files"]["arrays/parameters.npy"]["shape"] = [1 << 50]

    assert "a size, sum, dtype or shape that can't be" in refusal(forged(good, tmp_path / "copy", grow))


def test_a_file_of_holes_takes_no_more_memory_than_there_is(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sg_core.memory.available_memory", lambda: 1_000_000)

    def grow(manifest: dict[str, Any], info: dict[str, Any]) -> None:
        entry = manifest["files"]["arrays/parameters.npy"]
        entry["size"], entry["shape"] = 1 << 33, [(1 << 33) // 4 - 32]
        with (tmp_path / "copy" / "arrays" / "parameters.npy").open("r+b") as file:
            file.truncate(1 << 33)

    assert "of memory, of which 0.0 GB are free" in refusal(forged(good, tmp_path / "copy", grow))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(*path, key) for key, _ in inner] + [place for key, one in inner for place in places(one, (*path, key))]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_changed_the_answer_is_one_line(good: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)

    def change(manifest: dict[str, Any], info: dict[str, Any]) -> None:
        found = manifest if chance.random() < 0.5 else info
        for _ in range(chance.choice((1, 1, 2))):
            *path, last = chance.choice(places(found))
            inner = found
            for key in path:
                inner = inner[key]
            kind = chance.random()
            if kind < 0.2:
                del inner[last]
            elif kind < 0.3 and isinstance(inner, dict):
                inner[chance.choice(["\x1b[31m", "../x", "/etc/passwd", "a\0b", "extra"])] = inner.pop(last)
            else:
                inner[last] = copy.deepcopy(chance.choice(STRANGE))

    for number in range(40):
        folder = tmp_path / str(number)
        refusal(forged(good, folder, change))
        shutil.rmtree(folder)

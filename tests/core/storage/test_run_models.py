"""A person's runs are models: loaded by name from the export, or from the best or newest checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sg_core import paths
from sg_core.config import GPT2Config
from sg_core.errors import CheckpointError, ModelFileError
from sg_core.gpt2 import GPT2
from sg_core.storage.checkpoint import save_checkpoint
from sg_core.storage.hub import RUN, installed, resolve
from sg_core.text.vocabulary import learn_vocabulary

TOKENIZER = learn_vocabulary("to be or not to be, that is the question. " * 50, 300)
CONFIG = GPT2Config(vocab_size=TOKENIZER.vocab_size, n_ctx=16, n_layer=1, n_head=2, n_embd=32)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SG_HOME", str(tmp_path / "home"))


def saved(step: int, best: bool, name: str = "mine") -> GPT2:
    """The model of a checkpoint, as a trainer saves it, with more arrays than a model needs."""
    from dataclasses import asdict

    model = GPT2.random(CONFIG, seed=step, tokenizer=TOKENIZER)
    arrays = {"parameters": model.parameters.arena, "first_moment": model.parameters.arena * 0}
    info = {"model": asdict(CONFIG), "name": "new model"}
    save_checkpoint(paths.runs_dir() / name, step, arrays, info, extra=TOKENIZER.save, best=best)
    return model


def same(first: GPT2, second: GPT2) -> bool:
    return bool(np.array_equal(first.parameters.arena, second.parameters.arena))


def test_a_run_without_an_export_is_loaded_from_its_best_checkpoint_or_its_newest() -> None:
    saved(1, best=False)
    newest = saved(2, best=False)
    assert same(GPT2.from_pretrained("mine"), newest)
    best = saved(3, best=True)
    saved(4, best=False)
    loaded = GPT2.from_pretrained("mine")
    assert same(loaded, best)
    assert loaded.config == CONFIG
    assert loaded.tokenizer is not None
    assert loaded.tokenizer.encode("to be") == TOKENIZER.encode("to be")
    assert same(GPT2.from_pretrained(paths.runs_dir() / "mine"), best)
    assert [(model.name, model.path.name) for model in installed() if model.origin == RUN] == [
        ("mine", "step-00000003")
    ]


def test_a_checkpoint_s_own_folder_is_a_model_in_every_precision() -> None:
    model = saved(5, best=False)
    folder = paths.runs_dir() / "mine" / "step-00000005"
    assert same(GPT2.from_pretrained(folder), model)
    loaded = GPT2.from_pretrained(folder, precision="int8")
    assert (loaded.precision, loaded.config, loaded.not_finite()) == ("int8", CONFIG, [])


def test_the_export_goes_before_the_checkpoints() -> None:
    saved(1, best=True)
    exported = GPT2.random(CONFIG, seed=99, tokenizer=TOKENIZER)
    exported.save_pretrained(paths.runs_dir() / "mine" / "model")
    assert same(GPT2.from_pretrained("mine"), exported)


def test_a_run_that_saved_nothing_says_so() -> None:
    (paths.runs_dir() / "mine").mkdir()
    (paths.runs_dir() / "mine" / "run.json").write_text("{}")
    with pytest.raises(ModelFileError, match=r"the run .*mine has saved no weights yet; go on with it"):
        resolve("mine")
    assert [model for model in installed() if model.origin == RUN] == []


def test_a_damaged_checkpoint_is_not_loaded() -> None:
    saved(1, best=False)
    path = paths.runs_dir() / "mine" / "step-00000001" / "arrays" / "parameters.npy"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"parameters.npy is damaged"):
        GPT2.from_pretrained("mine")

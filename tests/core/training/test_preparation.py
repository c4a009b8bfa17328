"""From what was asked for to a trainer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sg_core.config import GPT2Config
from sg_core.errors import CheckpointError, DataError, SettingError, TrainingError
from sg_core.gpt2 import GPT2
from sg_core.storage.runs import REQUEST
from sg_core.training.preparation import RunRequest, prepare_training, write_request
from sg_core.training.settings import TrainingConfig

TEXT = "The lantern of the watch goes up the hill, and all the town is sleeping in the mist.\n" * 40
SHAPE = GPT2Config(vocab_size=280, n_ctx=16, n_layer=1, n_head=2, n_embd=16)
TRAINING = TrainingConfig(steps=4, batch_size=2, context=16, warmup_steps=1, seed=3)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "mist.txt"
    path.write_text(TEXT)
    return str(path)


def test_the_vocabulary_is_learned_from_the_training_part_alone(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("abc " * 90 + "xyz " * 10)  # what differs stands in the last tenth
    trainer = prepare_training(data=str(text), model=None, config=SHAPE, training=TRAINING)
    tokenizer = trainer.model.tokenizer
    assert tokenizer is not None
    assert len(tokenizer.encode("abc")) == 1
    assert len(tokenizer.encode("xyz")) == 3
    assert trainer.model.config.vocab_size == tokenizer.vocab_size < SHAPE.vocab_size
    assert trainer.dataset.validation_chars == 40


def test_the_seed_decides_the_first_weights(text: str) -> None:
    def weights(seed: int) -> bytes:
        training = TrainingConfig(batch_size=2, context=16, seed=seed)
        trainer = prepare_training(data=text, model=None, config=SHAPE, training=training)
        return trainer.model.parameters.arena.tobytes()

    assert weights(1) == weights(1) != weights(2)


def test_progress_is_told_and_a_wish_to_stop_is_heard(text: str) -> None:
    told: list[str] = []
    prepare_training(
        data=text, model=None, config=SHAPE, training=TRAINING, progress=lambda what, done, total: told.append(what)
    )
    assert list(dict.fromkeys(told)) == ["mist.txt", "vocabulary", "tokens of mist.txt"]
    with pytest.raises(DataError, match="stopped"):
        prepare_training(
            data=text, model=None, config=SHAPE, training=TRAINING,
            progress=lambda what, done, total: told.append(what), cancelled=lambda: told[-1] == "vocabulary",
        )  # fmt: skip


def test_a_context_longer_than_the_models_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="context is 32; the model's own context is 16"):
        prepare_training(data=str(tmp_path / "none"), model=None, config=SHAPE, training=TrainingConfig(context=32))


def test_a_model_without_tokenizer_files_can_not_learn_a_text(text: str, tmp_path: Path) -> None:
    GPT2.random(SHAPE).save_pretrained(tmp_path / "model")
    with pytest.raises((TrainingError, SettingError), match="tokenizer"):
        prepare_training(data=text, model=str(tmp_path / "model"), config=None, training=TRAINING)


def test_a_request_of_another_format_is_refused(text: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_request(run, RunRequest(text, None, SHAPE, TRAINING))
    found = json.loads((run / REQUEST).read_text())
    (run / REQUEST).write_text(json.dumps(found | {"format": 99}))
    with pytest.raises(CheckpointError, match="has format 99; this version reads 1 and 2"):
        prepare_training(data="", model=None, config=None, training=TRAINING, resume=str(run))
    (run / REQUEST).write_text(json.dumps(found | {"training": {"steps": -1}}))
    with pytest.raises(CheckpointError, match="steps is -1"):
        prepare_training(data="", model=None, config=None, training=TRAINING, resume=str(run))


def test_a_request_for_several_texts_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.txt"):
        (tmp_path / name).write_text('{"body": "the mist"}\n' * 200)
    write_request(tmp_path / "run", RunRequest(("a.jsonl", "b.txt"), None, SHAPE, TRAINING, "body"))
    asked = prepare_training(
        data=("a.jsonl", "b.txt"), field="body", model=None, config=SHAPE, training=TRAINING
    ).dataset
    monkeypatch.chdir("/")
    found = prepare_training(data="", model=None, config=None, training=TRAINING, resume=str(tmp_path / "run")).dataset
    assert found.fingerprint == asked.fingerprint
    assert found.name == "a.jsonl and 1 more"


def test_a_request_of_version_0_1_is_read_and_one_like_it_is_written(text: str, tmp_path: Path) -> None:
    write_request(tmp_path / "run", RunRequest(text, None, SHAPE, TRAINING))
    found = json.loads((tmp_path / "run" / REQUEST).read_text())
    assert set(found) >= {"format", "data", "model", "config", "training"}
    assert (found["format"], found["data"]) == (1, text)
    trainer = prepare_training(data="", model=None, config=None, training=TRAINING, resume=str(tmp_path / "run"))
    assert trainer.dataset.name == "mist.txt"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("config", {"n_\x1b[31m": 1}, r"'n_\\x1b\[31m' is no setting that this version knows"),
        ("config", {"tie_word_embeddings": []}, r"tie_word_embeddings is \[\]; it must be true or false"),
        ("config", {"layer_norm_epsilon": "x"}, r"layer_norm_epsilon is 'x'; it must lie between 0 and 1"),
        ("config", [5], r"\[5\] is no table of settings"),
        ("training", {"average": "x" * 10_000}, r"average is 'x+\.\.\.x+'; it must be one of"),
        ("training", {"extra": 1}, "'extra' is no setting that this version knows"),
        ("training", [5], r"\[5\] is no table of settings"),
    ],
)
def test_a_crafted_request_is_refused_in_one_short_line(
    text: str, tmp_path: Path, field: str, value: object, message: str
) -> None:
    write_request(tmp_path / "run", RunRequest(text, None, SHAPE, TRAINING))
    path = tmp_path / "run" / REQUEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(CheckpointError, match=message) as caught:
        prepare_training(data="", model=None, config=None, training=TRAINING, resume=str(tmp_path / "run"))
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < len(str(path)) + 300
    assert "__init__" not in line


@pytest.mark.parametrize("data", [5, [], [5], {"a": 1}, None])
def test_a_request_whose_data_is_no_name_is_refused(text: str, tmp_path: Path, data: object) -> None:
    write_request(tmp_path / "run", RunRequest(text, None, SHAPE, TRAINING))
    found = json.loads((tmp_path / "run" / REQUEST).read_text())
    (tmp_path / "run" / REQUEST).write_text(json.dumps(found | {"data": data}))
    with pytest.raises(CheckpointError, match=r"run.json can't be used: its data is no name of a text"):
        prepare_training(data="", model=None, config=None, training=TRAINING, resume=str(tmp_path / "run"))


def test_a_damaged_checkpoint_is_not_taken_for_none(text: str, tmp_path: Path) -> None:
    """Beginning again, silently, would lose what the checkpoint still holds."""
    run = tmp_path / "run"
    write_request(run, RunRequest(text, None, SHAPE, TRAINING))
    (run / "step-00000002").mkdir()
    with pytest.raises(CheckpointError, match="no good checkpoint"):
        prepare_training(data="", model=None, config=None, training=TRAINING, resume=str(run))

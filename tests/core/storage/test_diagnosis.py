"""What is this folder? Each kind that is no usable model gets one line, with what to do."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sg_core.config import GPT2Config
from sg_core.errors import ModelFileError
from sg_core.gpt2 import GPT2
from sg_core.storage.diagnosis import explain, model_folder
from sg_core.storage.hub import resolve
from sg_core.storage.pretrained import tensor_shapes, write_model
from sg_core.text.vocabulary import learn_vocabulary

CONFIG = GPT2Config(vocab_size=300, n_ctx=16, n_layer=1, n_head=2, n_embd=8)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 548105171\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole model."""
    monkeypatch.setenv("SG_HOME", str(tmp_path / "home"))
    shapes = tensor_shapes(CONFIG)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    write_model(tmp_path / "model", CONFIG, weights, learn_vocabulary("to be or not to be " * 50, 300))
    return tmp_path / "model"


def said(folder: Path) -> str:
    """The line for a folder that is no model."""
    with pytest.raises(ModelFileError) as caught:
        resolve(str(folder))
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_model_is_its_own_folder(folder: Path) -> None:
    assert resolve(str(folder)) == model_folder(folder) == folder


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ([], "is empty; a folder with config.json, model.safetensors and tokenizer files is needed"),
        (["adapter_config.json", "adapter_model.safetensors"], "is an adapter (PEFT), not a whole model; use it with"),
        (["adapter_config.json", "adapter_model.bin", "vocab.json"], "is an adapter (PEFT)"),
        (["ckpt.pt"], "ckpt.pt, a checkpoint of nanoGPT, a kind of file that can run code"),
        (["config.json", "pytorch_model.bin", "training_args.bin"], "has no model.safetensors but pytorch_model.bin"),
        (["pytorch_model-00001-of-00002.bin", "config.json"], "but pytorch_model-00001-of-00002.bin, a kind of file"),
        (["gpt2.Q4_K_M.gguf"], "but gpt2.Q4_K_M.gguf, a file of llama.cpp; take the repository it was made from"),
        (["tf_model.h5", "config.json"], "tf_model.h5, weights of TensorFlow"),
        (["flax_model.msgpack", "config.json"], "flax_model.msgpack, weights of Flax; convert them"),
        (["model.onnx", "config.json"], "model.onnx, a model of ONNX"),
        (["rust_model.ot"], "rust_model.ot, a model for another program"),
        (["model.zip"], "model.zip, an archive; unpack it and give the folder inside"),
        (["model.safetensors.gz", "config.json"], "compressed; unpack it: gunzip model.safetensors.gz"),
        (["vocab.json", "merges.txt"], "is a tokenizer without a model"),
        (["tokenizer.json", "tokenizer_config.json"], "is a tokenizer without a model"),
        (["model.safetensors", "vocab.json"], "has weights but no config.json"),
        (["config.json", "vocab.json"], "has no model.safetensors; copy it there from where config.json came from"),
        (["config.json", "gpt2.safetensors"], "has gpt2.safetensors; if these are the model's weights, call the file"),
        (["config.json", "model-00001-of-00002.safetensors"], "but no model.safetensors.index.json"),
        (["essay.docx", "notes.txt", "a.txt", "b.txt"], "is no model (it has a.txt, b.txt, essay.docx, ...)"),
        (["\x1b[2J.docx"], "is no model (it has \\x1b[2J.docx)"),
        (["a.txt", "README.md", "b.jsonl"], "holds texts (README.md, a.txt, b.jsonl), not a model; to train on them"),
        (["README.md", "train-00000.parquet"], "is a dataset (it has train-00000.parquet), not a model"),
        (["dataset_info.json", "state.json", "data-00000-of-00001.arrow"], "is a dataset"),
        (["ggml-model-f16.bin"], "ggml-model-f16.bin, a file of llama.cpp"),
        (["gpt2_124M.bin"], "gpt2_124M.bin, weights of llm.c"),
    ],
    ids=lambda value: ",".join(value).replace("\x1b", "ESC") if isinstance(value, list) else None,
)
def test_a_folder_that_is_something_else_says_what(tmp_path: Path, files: list[str], line: str) -> None:
    folder = tmp_path / "thing"
    folder.mkdir()
    for name in files:
        (folder / name).write_bytes(b"{}")
    assert line in said(folder)
    assert said(folder).startswith(str(folder))


@pytest.mark.parametrize(
    ("name", "make", "line"),
    [
        ("model.safetensors", lambda data: POINTER, "is a pointer of git-lfs, not the file itself; in that folder run"),
        ("tokenizer_config.json", lambda data: POINTER, "is a pointer of git-lfs"),
        ("model.safetensors", gzip.compress, "is compressed with gzip; name it model.safetensors.gz and unpack it"),
        ("config.json", gzip.compress, "is compressed with gzip"),
        ("vocab.json", lambda data: data.decode().encode("utf-16"), "is UTF-16; convert it first: iconv"),
        ("merges.txt", lambda data: data.decode().encode("utf-16"), "merges.txt is UTF-16"),
        ("config.json", lambda data: b"<!DOCTYPE html><html>", "is a web page, not the file itself"),
        ("model.safetensors", lambda data: b"PK\x03\x04" + data, "is a zip archive (PyTorch writes such)"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_named(
    folder: Path, name: str, make: Callable[[bytes], bytes], line: str
) -> None:
    path = folder / name
    path.write_bytes(make(path.read_bytes()))
    assert said(folder).startswith(str(path))
    assert line in said(folder)


def test_weights_whose_header_has_the_length_of_another_magic_number_are_read(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    padded = data[8 : 8 + size].ljust(0x088B1F)  # the first bytes are then those of gzip: 1f 8b 08
    (folder / "model.safetensors").write_bytes(len(padded).to_bytes(8, "little") + padded + data[8 + size :])
    assert resolve(str(folder)) == folder


def test_a_link_to_nothing_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("../blobs/gone")
    assert said(folder) == f"{folder / 'model.safetensors'} is a link to a file that is gone; fetch the model again"


def test_a_mark_of_the_byte_order_before_json_is_no_obstacle(folder: Path) -> None:
    for name in ("config.json", "vocab.json"):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    assert GPT2.from_pretrained(folder).require_tokenizer().encode("to be")


def test_an_adapter_beside_a_model_is_told(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    assert "an adapter too, which is not used; for that: --adapter" in GPT2.from_pretrained(folder).notes[0]


def test_the_folder_above_the_cache_is_known(tmp_path: Path) -> None:
    (tmp_path / "home" / "hub" / "models--me--x").mkdir(parents=True)
    assert "(HF_HOME); give the id of a model, for example me/x" in said(tmp_path / "home")


def test_a_folder_one_level_too_high_says_which_to_give(folder: Path) -> None:
    assert said(folder.parent) == f"{folder.parent} is the folder above a model; give {folder}"
    folder.with_name("another").symlink_to(folder)
    assert f"holds 2 models, not one; give one of them: {folder.with_name('another')}" in said(folder.parent)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("model.safetensors", "is a file; give its folder: "),
        ("gpt2.gguf", "holds no model but gpt2.gguf, a file of llama.cpp"),
        ("ckpt.pt", "holds no model but ckpt.pt, a checkpoint of nanoGPT"),
        ("essay.txt", "is a text, not a model; to train on it: sg-tui train --data "),
        ("essay.docx", "is a file; give the folder with its config.json and model.safetensors"),
    ],
)
def test_a_file_in_place_of_a_folder_says_what_to_give(folder: Path, name: str, line: str) -> None:
    (folder / name).touch()
    assert line in said(folder / name)


@given(st.lists(st.text(min_size=1, max_size=30), max_size=8))
def test_any_names_give_one_printable_line(names: list[str]) -> None:
    line = explain(names, "here")
    assert line.isprintable()
    assert line.startswith("here ")

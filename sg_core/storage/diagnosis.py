"""What is this folder? One line, with the next step, for each kind of folder or repository that is no usable model."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from sg_core.errors import ModelFileError, SgError
from sg_core.files import open_regular, shown
from sg_core.storage import hub_cache
from sg_core.storage.manifest import MANIFEST
from sg_core.storage.model_config import CONFIG, parse_config
from sg_core.text.file_names import TOKENIZERS

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"

_WANTED = (CONFIG, WEIGHTS, INDEX, *TOKENIZERS)
_HERE = f"a folder with {CONFIG}, {WEIGHTS} and tokenizer files"
_TRANSFORMERS = "AutoModelForCausalLM.from_pretrained(FOLDER{how}).save_pretrained(FOLDER)"
_CODE = "a kind of file that can run code and is never opened here; convert it where you trust it, "
# names of weights that are not opened here -> what they are and how they become safetensors
_OTHER_WEIGHTS: tuple[tuple[str, str], ...] = (
    (r".*\.gguf|ggml.*\.bin", "a file of llama.cpp; take the repository it was made from, which has " + WEIGHTS),
    (r"gpt2_\w+\.bin", "weights of llm.c; take the model they were made from, which has " + WEIGHTS),
    (r"ckpt\.pt", f"a checkpoint of nanoGPT, {_CODE}"
        "its matrices transposed, into transformers' GPT2LMHeadModel, and save_pretrained(FOLDER)"),
    (r"tf_model.*\.h5|saved_model\.pb|.*\.ckpt\.(index|meta|data.*)", f"weights of TensorFlow, {_CODE}"
        "with transformers 4: " + _TRANSFORMERS.format(how=", from_tf=True")),
    (r"flax_model.*\.msgpack", "weights of Flax; convert them with transformers 4: "
        + _TRANSFORMERS.format(how=", from_flax=True")),
    (r".*\.(onnx|onnx_data|ort)", "a model of ONNX, whose weights are part of a program; take the repository it was "
        "made from, which has " + WEIGHTS),
    (r".*\.(tflite|mlmodel|mlpackage|ot|mlx)", "a model for another program; take the repository it was made from, "
        "which has " + WEIGHTS),
    (r".*\.(bin|pt|pth|ckpt|npz|npy|h5|msgpack|pkl)", f"{_CODE}with transformers: " + _TRANSFORMERS.format(how="")),
    (r".*\.(zip|tar|tgz|gz|bz2|xz|zst|7z|rar)", "an archive; unpack it and give the folder inside"),
)  # fmt: skip
_NOT_WEIGHTS = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state.*)\.(bin|pt|pth)")
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_DATASET = re.compile(r"dataset_info\.json|dataset_dict\.json|.*\.(parquet|arrow)")
_TEXT = re.compile(r".*\.(txt|jsonl|md|rst|gz|csv|tsv)", re.I)
_LFS = b"version https://git-lfs.github.com/spec/"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def model_folder(folder: Path) -> Path:
    """The folder that a model is read from: `folder`, or the snapshot where it is a model's place in the Hub's cache.

    Raises ModelFileError, in one line, when it is something else, holds files that are not what their names say, or is
    empty.
    """
    if hub_cache.id_of(folder.absolute()) and (folder / "snapshots").is_dir():
        found = hub_cache.snapshot(folder)
        if found is None:
            raise ModelFileError(
                f"{shown(folder)} is a model's place in the Hub's cache without a whole snapshot; fetch it again: "
                f"sg-tui models pull {hub_cache.id_of(folder.absolute())}"
            )
        folder = found
    if (folder / MANIFEST).is_file():
        return folder  # a checkpoint, which verifies itself
    names = names_of(folder)
    if not is_model(names):
        raise ModelFileError(_elsewhere(folder, names) or explain(names, shown(folder)))
    for name in sorted(names):
        if name.endswith((".json", ".txt", ".safetensors")):
            check_first_bytes(folder, name)
    return folder


def is_model(names: Collection[str]) -> bool:
    """Whether a folder or repository with these files has a configuration and weights that are read here."""
    return CONFIG in names and (WEIGHTS in names or INDEX in names)


def is_gpt2(folder: Path) -> bool:
    """Whether a folder holds weights and the configuration of a GPT-2 that is built here. The weights are not read."""
    if is_model(names_of(folder)):
        with contextlib.suppress(SgError):
            parse_config(folder)
            return True
    return False


def explain(names: Collection[str], where: str) -> str:
    """The line for a folder or repository, `where`, with these files and without a usable model."""
    if not names:
        return f"{where} is empty; {_HERE} is needed"
    if ADAPTER in names:
        return (
            f"{where} is an adapter (PEFT), not a whole model; use it with the model it was made for: "
            "--model MODEL --adapter FOLDER"
        )
    if packed := sorted(name for name in names if name.endswith(".gz") and name[:-3] in _WANTED):
        return f"{where} has {packed[0]}, which is compressed; unpack it: gunzip {packed[0]}"
    if shards := sorted(name for name in names if _SHARD.fullmatch(name)):
        return f"{where} has {shards[0]} but no {INDEX}, which says what lies where; fetch the model again"
    if WEIGHTS in names or INDEX in names:
        return f"{where} has weights but no {CONFIG}, which gives their sizes; copy it from where they came from"
    if others := sorted(name for name in names if name.endswith(".safetensors")):
        needed = "" if CONFIG in names else f", and {CONFIG} beside it"
        return f"{where} has {shown(others[0])}; if these are the model's weights, call the file {WEIGHTS}{needed}"
    if other := other_weights(names):
        return f"{where} has no {WEIGHTS} but {other}"
    if CONFIG in names:
        return f"{where} has no {WEIGHTS}; copy it there from where {CONFIG} came from"
    if any(name in names for name in TOKENIZERS):
        return f"{where} is a tokenizer without a model: it has neither {CONFIG} nor {WEIGHTS}; {_HERE} is needed"
    if data := sorted(name for name in names if _DATASET.fullmatch(name)):
        return (
            f"{where} is a dataset (it has {shown(data[0])[:60]}), not a model; to train on it, write its texts into a "
            ".jsonl file and give that: sg-tui train --data FILE"
        )
    first = ", ".join(shown(name)[:60] for name in sorted(names)[:3])
    if all(_TEXT.fullmatch(name) for name in names):
        return f"{where} holds texts ({first}), not a model; to train on them: sg-tui train --data {where}"
    return f"{where} is no model (it has {first}{', ...' if len(names) > 3 else ''}); {_HERE} is needed"


def other_weights(names: Iterable[str]) -> str | None:
    """Weights of another kind among files: the name of one, what it is, and how it can be used."""
    listed = sorted(name for name in names if not _NOT_WEIGHTS.fullmatch(name))
    for pattern, what in _OTHER_WEIGHTS:
        for name in listed:
            if re.fullmatch(pattern, name.lower()):
                return f"{shown(name)}, {what}"
    return None


def explain_file(path: Path) -> str:
    """The line for a file that was given where the folder of a model is needed."""
    if path.suffix == ".safetensors" and is_model(names_of(path.parent)):
        return f"{shown(path)} is a file; give its folder: {shown(path.parent)}"
    if other := other_weights([path.name]):
        return f"{shown(path.parent)} holds no model but {other}"
    if _TEXT.fullmatch(path.name):
        return f"{shown(path)} is a text, not a model; to train on it: sg-tui train --data {shown(path)}"
    return f"{shown(path)} is a file; give the folder with its {CONFIG} and {WEIGHTS}"


def names_of(folder: Path) -> set[str]:
    """The names of what lies in a folder; none where it can't be read."""
    try:
        return {path.name for path in folder.iterdir() if path.name not in (".git", ".gitattributes", ".cache")}
    except OSError:
        return set()


def _elsewhere(folder: Path, names: Collection[str]) -> str | None:
    """The line for a folder that holds no model itself where one below it does."""
    if cached := hub_cache.repositories(folder):
        return (
            f"{shown(folder)} is the Hub's cache, with {len(cached)} {'model' if len(cached) == 1 else 'models'}; "
            f"give the id of one, for example {hub_cache.id_of(cached[0])}"
        )
    if (folder / "hub").is_dir() and (cached := hub_cache.repositories(folder / "hub")):
        return (
            f"{shown(folder)} is the folder above the Hub's cache (HF_HOME); give the id of a model, for example "
            f"{hub_cache.id_of(cached[0])}"
        )
    found = [name for name in sorted(names) if is_model(names_of(folder / name))]
    if not found:
        return None
    if len(found) > 1:
        return f"{shown(folder)} holds {len(found)} models, not one; give one of them: {shown(folder / found[0])}"
    return f"{shown(folder)} is the folder above a model; give {shown(folder / found[0])}"


def check_first_bytes(folder: Path, name: str) -> None:
    """Raises ModelFileError for a file that is, by its first bytes, not what its name says."""
    if (folder / name).is_symlink() and not (folder / name).exists():
        raise ModelFileError(f"{shown(folder / name)} is a link to a file that is gone; fetch the model again")
    first = b""
    with contextlib.suppress(ModelFileError, OSError), open_regular(folder / name, ModelFileError) as file:
        first = file.read(len(_LFS))
    where = shown(folder / name)
    text = not name.endswith(".safetensors")
    if not text and first[8:9] == b"{":  # as the format wants it, whatever the length before it looks like
        return
    if first == _LFS:
        raise ModelFileError(f"{where} is a pointer of git-lfs, not the file itself; in that folder run: git lfs pull")
    if first.startswith(b"\x1f\x8b"):
        raise ModelFileError(f"{where} is compressed with gzip; name it {shown(name)}.gz and unpack it with gunzip")
    if text and first.startswith(_UTF16):
        raise ModelFileError(f"{where} is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8")
    if first.startswith(b"PK\x03\x04"):
        raise ModelFileError(f"{where} is a zip archive (PyTorch writes such), not what its name says; convert it")
    if first.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise ModelFileError(f"{where} is a web page, not the file itself; fetch the model again")

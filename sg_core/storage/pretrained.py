"""Model folders in Hugging Face layout: config.json, model.safetensors (or shards of it), tokenizer files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from sg_core.checks import quoted
from sg_core.config import GPT2Config
from sg_core.errors import ModelFileError, SettingError
from sg_core.files import make_folder, open_regular, read_json_object, replacing, shown
from sg_core.memory import require_memory
from sg_core.network.parameters import HEAD_NAME, PIECE, PREFIX, Piece, layout, stored_order
from sg_core.network.precisions import Precision
from sg_core.storage.diagnosis import INDEX, WEIGHTS, explain, names_of
from sg_core.storage.manifest import MANIFEST
from sg_core.storage.model_config import CONFIG, config_json, parse_config
from sg_core.storage.run_models import checkpoint_config, checkpoint_weights
from sg_core.storage.safetensors_file import READABLE, StoredTensor, read_header, read_rows, write_file
from sg_core.text.tokenizer import Tokenizer
from sg_core.types import FloatArray

LARGEST_INDEX = 16 << 20

# causal masks that old checkpoints store beside the weights
_BUFFER = re.compile(r"h\.\d+\.(attn|crossattention)\.(masked_)?bias")
# of torch.compile, FSDP and checkpointed activations, around a model or any part of it
_WRAPPERS = re.compile(r"\b(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_POSITIONS = "wpe.weight"  # of every GPT-2; no other of its names ends so
_BODY = re.compile(r"(h\.\d|wte\.|wpe\.|ln_f\.|lm_head\.)")  # names that are GPT-2's own; others are further heads


def read_config(folder: Path, precision: str = "f32") -> GPT2Config:
    """The model that a checkpoint or a folder's config.json describes; see `model_config.parse_config`.

    Raises ModelFileError, also for sizes that are, with weights in this precision, beyond the memory of this machine.
    """
    is_checkpoint = (Path(folder) / MANIFEST).is_file()
    config = checkpoint_config(Path(folder)) if is_checkpoint else parse_config(folder)
    size = config.parameter_count * Precision.named(precision).bits // 8
    require_memory(size, f"the model of {shown(Path(folder) / CONFIG)}", ModelFileError)
    return config


def tensor_shapes(config: GPT2Config) -> dict[str, tuple[int, ...]]:
    """The canonical name ("transformer.h.0.ln_1.weight") and Hugging Face shape of every tensor, in order."""
    tensors = layout(config).tensors
    return {tensor.name: tensor.shape[::-1] if tensor.transposed else tensor.shape for tensor in tensors}


def read_weights(folder: Path, config: GPT2Config) -> Iterator[Piece]:
    """Every tensor, a piece at a time.

    Everything but the numbers themselves is checked before the first tensor comes. Raises ModelFileError.
    """
    if (Path(folder) / MANIFEST).is_file():
        yield from checkpoint_weights(Path(folder), config)
        return
    with ExitStack() as stack:
        found = _Weights(Path(folder), stack)
        names = found.match(tensor_shapes(config))
        tensors = {tensor.name: tensor for tensor in layout(config).tensors}
        for canonical, name in names.items():
            tensor = tensors[canonical]
            yield from stored_order(tensor, found.rows(name, whole=tensor.transposed))


def check_weights(folder: Path, config: GPT2Config) -> tuple[str, ...]:
    """Everything about a folder's weights but the numbers themselves. Raises ModelFileError.

    Returns the names of tensors that stand beside a whole GPT-2 and are not used: further heads. A checkpoint verifies
    itself when it is read.
    """
    if (Path(folder) / MANIFEST).is_file():
        return ()
    with ExitStack() as stack:
        found = _Weights(Path(folder), stack)
        found.match(tensor_shapes(config))
        return tuple(found.unused)


class _Weights:
    """The tensors of one or several open safetensors files."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.unused: list[str] = []  # tensors of further heads
        self._folder = folder
        self._tensors: dict[str, tuple[BufferedReader, str, StoredTensor]] = {}
        listed = _weight_files(folder)
        for name, expected in listed.items():
            path = folder / name
            where = shown(path)
            file = stack.enter_context(open_regular(path, ModelFileError))
            header = read_header(file, where)
            for tensor in expected:
                # a tied head may be listed and not stored
                if tensor not in header and not f".{tensor}".endswith(f".{HEAD_NAME}"):
                    raise ModelFileError(f"{where} lacks {quoted(tensor)}, which {INDEX} places there")
            for tensor in header:
                if tensor in self._tensors:
                    raise ModelFileError(f"{where}: tensor {quoted(tensor)} is in another shard too")
                self._tensors[tensor] = (file, where, header[tensor])

    def rows(self, name: str, whole: bool = False) -> Iterator[FloatArray]:
        """A tensor, some of its rows at a time or all at once."""
        file, where, tensor = self._tensors[name]
        return read_rows(file, tensor, where, math.prod(tensor.shape) if whole else PIECE)

    def match(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
        """Canonical name -> the file's own name, for exactly these shapes."""
        found: dict[str, str] = {}
        unexpected: list[str] = []
        heads: list[str] = []  # tensors called lm_head.weight
        around = _around(self._tensors)
        for name in self._tensors:
            short = _stem(name, around)
            canonical = short if short == HEAD_NAME else PREFIX + short
            if canonical in found or (short == HEAD_NAME and heads):
                raise ModelFileError(f"{shown(self._folder)} has {quoted(short)} twice, under several names")
            if canonical in shapes:
                found[canonical] = name
            elif short == HEAD_NAME:
                heads.append(name)
            elif not _BODY.match(short):
                self.unused.append(name)
            elif not _BUFFER.fullmatch(short):
                unexpected.append(name)
        wte = f"{PREFIX}wte.weight"
        if heads:
            found.setdefault(wte, heads[0])  # tied tensors may be stored under either name
        missing = [name for name in shapes if name not in found]
        if missing or unexpected:
            lists = (_list("missing", missing), _list("unexpected", unexpected))
            raise ModelFileError(
                f"{shown(self._folder)} does not hold the weights that its config.json describes: "
                + "; ".join(filter(None, lists))
            )
        for canonical, name in found.items():
            self._check(name, shapes[canonical])
        if heads and found[wte] != heads[0]:
            self._check(heads[0], shapes[wte])
            self._check_tied(found[wte], heads[0])
        return found

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        _, where, tensor = self._tensors[name]
        if tensor.dtype not in READABLE:
            raise ModelFileError(
                f"{where}: tensor {quoted(name)} has the dtype {tensor.dtype}; {', '.join(READABLE)} can be read"
            )
        if tensor.shape != shape:
            raise ModelFileError(
                f"{where}: tensor {quoted(name)} has the shape {list(tensor.shape)}; config.json asks for {list(shape)}"
            )

    def _check_tied(self, wte: str, head: str) -> None:
        both = zip(self.rows(wte), self.rows(head), strict=True)
        if not all(np.array_equal(one.view(np.uint32), other.view(np.uint32)) for one, other in both):
            raise ModelFileError(
                f"{shown(self._folder)}: lm_head.weight differs from wte.weight, though config.json says that they "
                'are one; if they are not, "tie_word_embeddings": false belongs there'
            )


def _around(names: Iterable[str]) -> str:
    """What wraps a whole model puts before all its names: DDP "module.", a program's own class "model." or the like."""
    bare = (_WRAPPERS.sub("", name) for name in names)
    found = (name.removesuffix(_POSITIONS) for name in bare if f".{name}".endswith(f".{_POSITIONS}"))
    return min(found, key=len, default="").removesuffix(PREFIX)


def _stem(name: str, around: str) -> str:
    """A tensor's name without what wraps the model, and without GPT-2's own prefix."""
    return _WRAPPERS.sub("", name).removeprefix(around).removeprefix(PREFIX)


def _list(kind: str, names: list[str]) -> str:
    if not names:
        return ""
    first = ", ".join(shown(name)[:100] for name in names[:5])
    return f"{len(names)} {kind} ({first}{', ...' if len(names) > 5 else ''})"


def _weight_files(folder: Path) -> dict[str, list[str]]:
    """The weight files of a folder, each with the tensors that the shard index places there."""
    if (folder / WEIGHTS).exists() or (folder / WEIGHTS).is_symlink():
        return {WEIGHTS: []}
    if not (folder / INDEX).exists():
        raise ModelFileError(explain(names_of(folder), shown(folder)))
    files = _read_index(folder)
    for name in files:
        if not (folder / name).exists():
            raise ModelFileError(f"{shown(folder)} lacks the shard {name}; fetch the model again")
    return files


def shard_names(folder: Path) -> list[str]:
    """The files that the shard index of a folder names, none of them outside the folder. Raises ModelFileError."""
    return sorted(_read_index(folder))


def _read_index(folder: Path) -> dict[str, list[str]]:
    where = shown(folder / INDEX)
    weight_map = read_json_object(folder / INDEX, LARGEST_INDEX, ModelFileError).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelFileError(f"{where} has no weight_map")
    files: dict[str, list[str]] = {}
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+\.safetensors", name, re.ASCII):
            raise ModelFileError(
                f"{where} places {quoted(tensor)} in {quoted(name)}; a .safetensors file of the same folder is needed"
            )
        files.setdefault(name, []).append(tensor)
    return files


def write_model(
    folder: Path,
    config: GPT2Config,
    parameters: Mapping[str, FloatArray],
    tokenizer: Tokenizer | None,
    dtype: str = "F32",
) -> None:
    """Writes a folder that transformers.AutoModelForCausalLM loads: configuration, tokenizer, weights.

    parameters: canonical name -> array in Hugging Face's shape. dtype: F32, F16 or BF16, in which they are
    stored. Files appear whole or not at all, the weights last. Raises SettingError or ModelFileError.
    """
    shapes = tensor_shapes(config)
    for name, shape in shapes.items():
        if name not in parameters or parameters[name].shape != shape:
            raise SettingError(f"parameters lack {name} of shape {list(shape)}")
    if dtype not in _TORCH_NAMES:
        raise SettingError(f"dtype is {quoted(dtype)}; choose from {', '.join(_TORCH_NAMES)}")
    folder = Path(folder)
    make_folder(folder, ModelFileError)
    with replacing(folder / CONFIG, ModelFileError) as file:
        file.write((json.dumps(_config_json(config, tokenizer, dtype), indent=2) + "\n").encode("utf-8"))
    if tokenizer is not None:
        tokenizer.save(folder)
    write_file(folder / WEIGHTS, {name: parameters[name] for name in shapes}, dtype)


_TORCH_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def _config_json(config: GPT2Config, tokenizer: Tokenizer | None, dtype: str) -> dict[str, Any]:
    roles = {} if tokenizer is None else tokenizer.roles
    end = None if tokenizer is None else tokenizer.end_of_text
    pad = {"pad_token_id": roles["pad_token"]} if "pad_token" in roles else {}
    ids = {"bos_token_id": roles.get("bos_token", end), "eos_token_id": end, **pad}
    return {**config_json(config), **ids, "torch_dtype": _TORCH_NAMES[dtype]}

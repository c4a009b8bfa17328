"""Adapters in PEFT's files: adapter_config.json and adapter_model.safetensors (https://huggingface.co/docs/peft).

A field that would change the numbers is obeyed, or refused by name. A tensor lora_A is (r, in) and lora_B (out, r)
whatever `fan_in_fan_out` says, which tells only how the base stores its own matrix: that is known here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from sg_core import paths
from sg_core.checks import is_whole, quoted
from sg_core.config import GPT2Config
from sg_core.errors import ModelFileError, SettingError
from sg_core.files import given_path, make_folder, open_regular, read_json_object, replacing, shown
from sg_core.network.adapters import PROJECTIONS, Adapter, widths
from sg_core.network.lora_settings import LoraSettings
from sg_core.network.parameters import PREFIX
from sg_core.storage.diagnosis import ADAPTER, check_first_bytes, names_of, other_weights
from sg_core.storage.manifest import entries
from sg_core.storage.safetensors_file import READABLE, StoredTensor, read_header, read_tensor, write_file

WEIGHTS = "adapter_model.safetensors"
EXPORT = "adapter"  # the folder that a training of an adapter leaves in its run's
_LARGEST_CONFIG = 1 << 20
_NAME = re.compile(
    r"base_model\.model\.(?:transformer\.)?h\.(\d{1,4})\.("
    + "|".join(map(re.escape, PROJECTIONS))
    + r")\.lora_([AB])(?:\.\w+)?\.weight"
)
# what changes the numbers in a way that is not built here; each may be null, false or empty
_REFUSED = (
    "use_dora", "lora_bias", "modules_to_save", "trainable_token_indices", "layer_replication", "use_qalora",
    "alora_invocation_tokens", "target_parameters", "loftq_config", "velora_config", "monteclora_config",
    "use_bdlora", "arrow_config", "kasa_config",
)  # fmt: skip
# what is read elsewhere, says what the tensors say too, or concerned the training alone
_HARMLESS = frozenset(
    {
        "peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "fan_in_fan_out", "bias",
        "init_lora_weights", "lora_dropout", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path",
        "revision", "inference_mode", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
        "megatron_config", "megatron_core", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size",
        "runtime_config", "ensure_weight_tying", "enable_lora", "merge_weights",
    }
)  # fmt: skip
_PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")  # of A and B, that leave the base as it was


def parse_reference(text: str) -> tuple[str, float]:
    """FOLDER[:SCALE] -> folder and scale, 1.0 where none is given. Raises SettingError."""
    folder, colon, tail = text.rpartition(":")
    if colon and folder and not given_path(text, ModelFileError).is_dir():
        try:
            scale = float(tail)
        except ValueError:
            return text, 1.0
        if not math.isfinite(scale):
            raise SettingError(f"the scale of the adapter {shown(folder)} is {shown(tail)}; a number is needed")
        return folder, scale
    if not text:
        raise SettingError("the adapter is empty; give the folder of one, with :SCALE after it for a part of it")
    return text, 1.0


def adapter_folder(name: str) -> Path:
    """The folder that a name means: itself, or the one that a training run has left. Raises ModelFileError."""
    given = given_path(name, ModelFileError)
    places = [given, given / EXPORT]
    if "/" not in name:
        places.append(paths.runs_dir() / name / EXPORT)
    for place in places:
        if (place / ADAPTER).is_file():
            return place
    names = names_of(given)
    if WEIGHTS in names:
        raise ModelFileError(f"{shown(name)} has {WEIGHTS} but no {ADAPTER}, which gives its scale; copy it there")
    what = "is no adapter" if given.is_dir() else "is no folder"
    raise ModelFileError(f"{shown(name)} {what}; a folder with {ADAPTER} and {WEIGHTS} is needed, as PEFT saves it")


def read_adapter(folder: Path, config: GPT2Config) -> tuple[Adapter, tuple[str, ...]]:
    """An adapter for a model of these sizes, and what is worth telling of it. Raises ModelFileError."""
    where = shown(folder)
    told = read_json_object(folder / ADAPTER, _LARGEST_CONFIG, ModelFileError)
    _check_config(told, shown(folder / ADAPTER))
    names = names_of(folder)
    if WEIGHTS not in names:
        other = other_weights(names)
        raise ModelFileError(f"{where} has no {WEIGHTS}" + (f" but {other}" if other else ""))
    check_first_bytes(folder, WEIGHTS)
    with open_regular(folder / WEIGHTS, ModelFileError) as file:
        found = _factors(read_header(file, shown(folder / WEIGHTS)), config, told, where)
        adapter = _adapter(found, config, told, where)
        for (layer, projection, factor), tensor in found.items():
            _fill(adapter, layer, projection, factor, file, tensor, shown(folder / WEIGHTS))
    adapter.name = str(folder)
    notes = () if told.get("fan_in_fan_out") else (_OTHER_WAY,)
    return adapter, notes


_OTHER_WAY = (
    "its fan_in_fan_out is false, which is not GPT-2's way to store a matrix; its tensors say how they lie, and are "
    "obeyed"
)


def base_of(name: str) -> str | None:
    """The model that an adapter, a folder or a run's name, was made for; None for anything else."""
    with suppress(ModelFileError):
        return base_model(adapter_folder(name))
    return None


def adapter_runs() -> list[Path]:
    """The runs that have trained an adapter, newest first: their names begin with the date."""
    return [run for run in reversed(entries(paths.runs_dir())) if (run / EXPORT / ADAPTER).is_file()]


def base_model(folder: Path) -> str | None:
    """The model that an adapter was made for, as it says itself; None where it does not."""
    name = read_json_object(folder / ADAPTER, _LARGEST_CONFIG, ModelFileError).get("base_model_name_or_path")
    return name if isinstance(name, str) and name else None


def write_adapter(folder: Path, adapter: Adapter, settings: LoraSettings, base: str) -> None:
    """Write the folder of an adapter that peft.PeftModel.from_pretrained loads; base: the model's name or path.

    The files appear whole or not at all, the tensors last. Raises ModelFileError.
    """
    targets = sorted({"c_attn", "c_fc", "c_proj"} if "all-linear" in settings.targets else set(settings.targets))
    told = {
        "base_model_name_or_path": base, "bias": "none", "fan_in_fan_out": True, "inference_mode": True,
        "init_lora_weights": True, "lora_alpha": settings.alpha, "lora_dropout": settings.dropout,
        "modules_to_save": None, "peft_type": "LORA", "r": settings.r, "target_modules": targets,
        "task_type": "CAUSAL_LM", "use_dora": False, "use_rslora": settings.rslora,
    }  # fmt: skip
    tensors = {}
    for layer, projection in adapter.adapted():
        module = f"base_model.model.{PREFIX}h.{layer}.{PROJECTIONS[projection]}"
        first, second = adapter.factors(layer, projection)
        tensors[f"{module}.lora_A.weight"] = first
        tensors[f"{module}.lora_B.weight"] = second.T
    make_folder(folder, ModelFileError)
    with replacing(folder / ADAPTER, ModelFileError) as file:
        file.write((json.dumps(told, indent=2) + "\n").encode("utf-8"))
    write_file(folder / WEIGHTS, tensors, "F32")


# ---------------------------------------------------------------- the configuration


def _check_config(told: Mapping[str, Any], where: str) -> None:
    kind = told.get("peft_type")
    if kind != "LORA":
        raise ModelFileError(f"{where}: peft_type is {quoted(kind)}; adapters of the kind LORA can be used")
    for name in sorted(told):
        if told[name] and (name in _REFUSED or name not in _HARMLESS):
            raise ModelFileError(
                f"{where}: {shown(name)} is {shown(told[name])[:80]}, which is not built here; merge the adapter "
                "into its model where peft is installed: merge_and_unload().save_pretrained(OUT)"
            )
    if told.get("bias") not in (None, "none"):
        raise ModelFileError(f"{where}: bias is {quoted(told['bias'])}; adapters without trained biases can be used")
    start = told.get("init_lora_weights")
    if start not in _PLAIN_STARTS:
        raise ModelFileError(
            f"{where}: init_lora_weights is {quoted(start)}, which changes the model that the adapter is for; save it "
            "with path_initial_model_for_weight_conversion, or merge it, where peft is installed"
        )
    if not _is_rank(told.get("r")):
        raise ModelFileError(f"{where}: r is {shown(told.get('r'))}; a rank is needed")
    if not _is_number(told.get("lora_alpha")):
        raise ModelFileError(f"{where}: lora_alpha is {shown(told.get('lora_alpha'))}; a number is needed")
    for name, fits in (("rank_pattern", _is_rank), ("alpha_pattern", _is_number)):
        pattern = told.get(name) or {}
        if not isinstance(pattern, dict) or not all(map(fits, pattern.values())):
            raise ModelFileError(f"{where}: {name} is no object of numbers by module")
        for key in pattern:
            if not re.fullmatch(r"\^?[\w.]+", key, re.ASCII):
                raise ModelFileError(f"{where}: {name} has the pattern {quoted(key)}; names of modules can be used")


def _is_rank(value: Any) -> bool:
    return is_whole(value, 1, 1 << 16)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _of_module(pattern: Any, module: str, usual: Any) -> Any:
    """The value of the first key that means a module, as PEFT looks it up."""
    for key, value in (pattern or {}).items():
        name = key.removeprefix("^")
        if module == name or (name == key and module.endswith(f".{name}")):
            return value
    return usual


# ---------------------------------------------------------------- the tensors

_Found = dict[tuple[int, int, str], StoredTensor]


def _factors(header: Mapping[str, StoredTensor], config: GPT2Config, told: Mapping[str, Any], where: str) -> _Found:
    """(layer, projection, "A" or "B") -> its tensor, all of them fitting. Raises ModelFileError."""
    found: _Found = {}
    for name, tensor in header.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise ModelFileError(
                f"{where} holds {quoted(name)}; adapters of the projections {', '.join(PROJECTIONS)} can be used"
            )
        if tensor.dtype not in READABLE:
            raise ModelFileError(
                f"{where}: {shown(name)} has the dtype {tensor.dtype}; {', '.join(READABLE)} can be read"
            )
        place = (int(match[1]), PROJECTIONS.index(match[2]), match[3])
        if place in found:
            raise ModelFileError(f"{where} holds {quoted(name)} twice, under several names")
        found[place] = tensor
    if not found:
        raise ModelFileError(f"{where} holds no tensor: it is the adapter of nothing")
    for (layer, projection, factor), tensor in found.items():
        module = f"h.{layer}.{PROJECTIONS[projection]}"
        if (layer, projection, "B" if factor == "A" else "A") not in found:
            raise ModelFileError(f"{where} holds lora_{factor} of {module} without the other factor")
        if layer >= config.n_layer:
            raise ModelFileError(f"{where} adapts {module}; this model has {config.n_layer} blocks{_made_for(told)}")
        rank = _of_module(told.get("rank_pattern"), f"{PREFIX}{module}", told["r"])
        inputs, outputs = widths(config)[projection]
        wanted = (rank, inputs) if factor == "A" else (outputs, rank)
        if tensor.shape != wanted:
            raise ModelFileError(
                f"{where}: lora_{factor} of {module} has the shape {list(tensor.shape)}; rank {rank} on this model "
                f"asks for {list(wanted)}{_made_for(told)}"
            )
    return found


def _made_for(told: Mapping[str, Any]) -> str:
    base = told.get("base_model_name_or_path")
    return f"; it was made for {shown(base)}" if isinstance(base, str) and base else ""


def _adapter(found: _Found, config: GPT2Config, told: Mapping[str, Any], where: str) -> Adapter:
    """An adapter with its ranks and gains, its numbers still to be read."""
    ranks = np.zeros((config.n_layer, len(PROJECTIONS)), np.int64)
    gains = np.zeros(ranks.shape, np.float32)
    for layer, projection, factor in found:
        if factor == "A":
            module = f"{PREFIX}h.{layer}.{PROJECTIONS[projection]}"
            rank = _of_module(told.get("rank_pattern"), module, told["r"])
            alpha = _of_module(told.get("alpha_pattern"), module, told["lora_alpha"])
            ranks[layer, projection] = rank
            with np.errstate(over="ignore"):  # told below
                gains[layer, projection] = alpha / (math.sqrt(rank) if told.get("use_rslora") else rank)
    if not np.isfinite(gains).all():
        raise ModelFileError(f"{where}: lora_alpha is beyond what a float32 holds")
    return Adapter(config, ranks, gains)


def _fill(
    adapter: Adapter, layer: int, projection: int, factor: str, file: BufferedReader, tensor: StoredTensor, where: str
) -> None:
    numbers = read_tensor(file, tensor, where)
    if not np.isfinite(numbers).all():
        raise ModelFileError(f"{where}: {shown(tensor.name)} holds NaN or infinite numbers")
    first, second = adapter.factors(layer, projection)
    if factor == "A":
        first[:] = numbers
    else:
        second[:] = numbers.T

"""config.json: which GPT-2 a folder describes. A field that would change the numbers is obeyed, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sg_core.checks import is_whole, quoted
from sg_core.config import GPT2Config
from sg_core.errors import ModelFileError, SettingError
from sg_core.files import read_json_object, shown

CONFIG = "config.json"
LARGEST_CONFIG = 1 << 20

# config.json's names for the sizes, GPT-2's own first; without any, transformers takes GPT-2 small's value
_SIZES = {
    "vocab_size": ("vocab_size",),
    "n_ctx": ("n_positions", "n_ctx", "max_position_embeddings"),
    "n_layer": ("n_layer", "num_hidden_layers"),
    "n_head": ("n_head", "num_attention_heads"),
    "n_embd": ("n_embd", "hidden_size"),
    "n_inner": ("n_inner",),
    "layer_norm_epsilon": ("layer_norm_epsilon",),
}
# names of one activation: those on the left compute what the one on the right does
_ACTIVATIONS = {
    "gelu_new": "gelu_new", "gelu_fast": "gelu_new", "gelu_pytorch_tanh": "gelu_new", "gelu_accurate": "gelu_new",
    "gelu_python_tanh": "gelu_new", "gelu": "gelu", "gelu_python": "gelu", "quick_gelu": "quick_gelu", "relu": "relu",
}  # fmt: skip
_FLAGS = ("tie_word_embeddings", "scale_attn_weights", "scale_attn_by_inverse_layer_idx")
# fields that change the computation, with the values, besides null, under which it is the one built here
_REQUIRED: dict[str, tuple[Any, ...]] = {
    "add_cross_attention": (False,),
    "is_encoder_decoder": (False,),
    "quantization_config": (),
    "attention_head_type": ("multihead",),
    "multi_query": (False,),
    "position_embedding_type": ("absolute",),
    "rotary_dim": (),
    "mup_width_scale": (1.0,),
    "mup_embeddings_scale": (1.0,),
    "mup_output_alpha": (1.0,),
    "mup_scale_qk_dot_by_d": (False,),
    "auto_map": ({},),
}
# classes of transformers whose body is a whole GPT-2, with one head or another, and TRL's
_CLASSES = frozenset(
    {
        "GPT2LMHeadModel", "GPT2Model", "GPT2DoubleHeadsModel", "GPT2ForSequenceClassification",
        "GPT2ForTokenClassification", "GPT2ForQuestionAnswering", "AutoModelForCausalLMWithValueHead",
    }
)  # fmt: skip


def parse_config(folder: Path) -> GPT2Config:
    """The model that a folder's config.json describes.

    Raises ModelFileError for another architecture, for a field that asks for another computation, and for sizes that
    are absurd.
    """
    path = Path(folder) / CONFIG
    where = shown(path)
    content = read_json_object(path, LARGEST_CONFIG, ModelFileError)
    _require_gpt2(content, where)
    for field, allowed in _REQUIRED.items():
        if not any(_same(content.get(field), choice) for choice in (*allowed, None)):
            value = content[field]
            raise ModelFileError(f"{where}: {field} is {shown(value)[:60]}; {_only(allowed)} is supported")
    values: dict[str, Any] = {field: _first(content, names) for field, names in _SIZES.items()}
    values |= {flag: _flag(content, flag, where) for flag in _FLAGS}
    values["activation_function"] = _activation(content, where)
    width = values["n_embd"] or GPT2Config().n_embd
    if is_whole(width, 1) and values["n_inner"] == 4 * width:
        values["n_inner"] = None  # as it is without saying so
    try:
        return GPT2Config(**{field: value for field, value in values.items() if value is not None})
    except (SettingError, TypeError) as problem:
        raise ModelFileError(f"{where}: {problem}") from problem


def _require_gpt2(content: Mapping[str, Any], where: str) -> None:
    kind, classes = content.get("model_type"), content.get("architectures")
    if kind is None and not (classes or "n_embd" in content):  # before 2020 there was no model_type
        raise ModelFileError(f"{where} has neither model_type nor GPT-2's sizes (n_embd, n_layer, n_head)")
    if kind not in ("gpt2", None):
        raise ModelFileError(f"{where} describes a model of the type {quoted(kind)}; only gpt2 can be used")
    for name in classes if isinstance(classes, list) else []:
        if not isinstance(name, str) or name not in _CLASSES:
            raise ModelFileError(f"{where}: architectures names {quoted(name)}, which is not a plain GPT-2")


def _same(value: Any, choice: Any) -> bool:
    """Equal, and both true or false, or neither: 1 is not true."""
    return bool(value == choice) and isinstance(value, bool) == isinstance(choice, bool)


def _only(allowed: tuple[Any, ...]) -> str:
    named = [json.dumps(choice) for choice in allowed if choice != {}]
    return f"only {' or '.join(named)}" if named else "only a model without it"


def _first(content: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((content[name] for name in names if content.get(name) is not None), None)


def _flag(content: Mapping[str, Any], name: str, where: str) -> bool | None:
    value = content.get(name)
    if value is not None and not isinstance(value, bool):
        raise ModelFileError(f"{where}: {name} is {shown(value)[:60]}; it must be true or false")
    return value


def _activation(content: Mapping[str, Any], where: str) -> str | None:
    value = content.get("activation_function")
    if value is not None and (not isinstance(value, str) or value not in _ACTIVATIONS):
        names = ", ".join(_ACTIVATIONS)
        raise ModelFileError(f"{where}: activation_function is {quoted(value)}; supported are {names}")
    return None if value is None else _ACTIVATIONS[value]


def config_json(config: GPT2Config) -> dict[str, Any]:
    """The fields of a config.json that transformers reads as this model; those of the tokenizer are not among them."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_positions": config.n_ctx,
        "n_ctx": config.n_ctx,
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": config.n_inner,
        "activation_function": config.activation_function,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "scale_attn_weights": config.scale_attn_weights,
        "scale_attn_by_inverse_layer_idx": config.scale_attn_by_inverse_layer_idx,
        "reorder_and_upcast_attn": False,
        "tie_word_embeddings": config.tie_word_embeddings,
        "initializer_range": 0.02,
    }

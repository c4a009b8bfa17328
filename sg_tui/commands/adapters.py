"""--adapter, as commands take it: LoRA adapters in PEFT's files, put on top of a model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sg_core.gpt2 import GPT2

ADAPTER_HELP = (
    "a LoRA adapter, a folder as PEFT saves it or a run that trained one, and how much of it (default: 1); can be "
    "repeated"
)


def add_adapter(parser: argparse._ActionsContainer) -> None:
    """--adapter; its value is a list."""
    parser.add_argument("--adapter", action="append", default=[], metavar="FOLDER[:SCALE]", help=ADAPTER_HELP)


def load_adapters(model: GPT2, given: Sequence[str]) -> None:
    """Put adapters on a model, in their order. Raises ModelFileError or SettingError."""
    from sg_core.storage.peft_file import parse_reference

    for folder, scale in [parse_reference(text) for text in given]:
        model.load_adapter(folder, scale)

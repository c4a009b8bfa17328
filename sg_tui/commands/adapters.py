"""--adapter, as commands take it: LoRA adapters in PEFT's files, put on top of a model."""

from __future__ import annotations

import argparse

ADAPTER_HELP = (
    "a LoRA adapter, a folder as PEFT saves it or a run that trained one, and how much of it (default: 1); can be "
    "repeated"
)


def add_adapter(parser: argparse._ActionsContainer) -> None:
    """--adapter; its value is a list."""
    parser.add_argument("--adapter", action="append", default=[], metavar="FOLDER[:SCALE]", help=ADAPTER_HELP)

"""Options that several commands share, and the kinds of their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from sg_core.checks import MOST_THREADS
from sg_core.network.optimizations import TABLE
from sg_core.network.precisions import PRECISIONS
from sg_core.setting import Setting, settings_of
from sg_tui.terminal.textsafe import safe_line

DEFAULT_MODEL = "tinyshakespeare"
MODEL_HELP = (
    f"the shipped model (default: {DEFAULT_MODEL}), a folder in Hugging Face layout, the name of a training run, "
    "or a Hub id fetched before"
)
PRECISION_HELP = f"of the weights: {', '.join(PRECISIONS)} (default: {PRECISIONS[0]})"
THREADS_HELP = "threads to compute with (default: physical cores, one for small models)"


class Parser(argparse.ArgumentParser):
    """argparse whose complaint is one line, and whose options are not abbreviated."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments and exit with code 2."""
        self.exit(2, f"{self.prog}: {safe_line(message)} (see {self.prog} --help)\n")


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of a whole number in a range."""

    def parse(text: str) -> int:
        wanted = f"a whole number from {least}" + (f" to {most:,}" if most is not None else "")
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{value} is not {wanted}")
        return value

    return parse


def number(text: str) -> float:
    """The type of a number; the setting it belongs to knows the range."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def add_settings(parser: argparse._ActionsContainer, kind: type, *, usual: bool) -> None:
    """The options of a dataclass of settings. usual: they have their defaults; else None where not given."""
    for one in settings_of(kind):
        if one.option:
            switch = one.choices == ("off", "on")  # the option alone switches it on
            parser.add_argument(
                one.option,
                dest=one.name,
                type=_kind(one),
                choices=one.choices or None,
                default=one.default if usual else None,
                metavar=_metavar(one),
                nargs="?" if switch else None,
                const="on" if switch else None,
                help=f"{one.help} (default: %(default)s)".replace("% ", "%% ")
                if usual
                else one.help.replace("% ", "%% "),
            )


def _kind(one: Setting) -> Callable[[str], Any]:
    if not one.number:
        return str
    return whole(int(one.low), int(one.high)) if one.whole else number


def _metavar(one: Setting) -> str:
    if one.choices:
        return "|".join(one.choices)
    return "NAMES" if not one.number else "N" if one.whole else "F"


def given_settings(args: argparse.Namespace, kind: type) -> dict[str, Any]:
    """Field -> value of what was given, or has a default, of the options of `add_settings`."""
    values = {one.name: getattr(args, one.name) for one in settings_of(kind) if one.option}
    return {name: value for name, value in values.items() if value is not None}


def add_model(parser: argparse.ArgumentParser) -> None:
    """--model, as everywhere."""
    parser.add_argument("--model", metavar="M", default=DEFAULT_MODEL, help=MODEL_HELP)


def add_precision(parser: argparse.ArgumentParser) -> None:
    """--precision, of one session."""
    parser.add_argument("--precision", metavar="P", default=PRECISIONS[0], help=PRECISION_HELP)


def add_with(parser: argparse._ActionsContainer) -> None:
    """--with, for what is off unless asked for; its value is `with_`."""
    unusual = (f"{one.name} ({one.effect})" for one in TABLE if not one.default)
    parser.add_argument(
        "--with", dest="with_", default="", metavar="NAMES",
        help=f"optimizations to switch on that are off as a rule: {', '.join(unusual)}",
    )  # fmt: skip


def names(text: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def add_threads(parser: argparse.ArgumentParser) -> None:
    """--threads; the results do not depend on it."""
    parser.add_argument("--threads", type=whole(1, MOST_THREADS), metavar="N", help=THREADS_HELP)


def add_json(parser: argparse._ActionsContainer) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="print JSON Lines")

"""`sg-tui` and its subcommands. Textual is imported only to open the app, NumPy and Numba only to compute."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from sg_core import __version__, notices
from sg_core.checks import MOST_THREADS
from sg_core.errors import SettingError, SgError
from sg_core.network.precisions import Precision
from sg_tui.commands import bench, chat, complete, doctor, models, score, train
from sg_tui.commands.adapters import ADAPTER_HELP
from sg_tui.commands.options import (
    DEFAULT_MODEL,
    MODEL_HELP,
    PRECISION_HELP,
    THREADS_HELP,
    Parser,
    whole,
)
from sg_tui.commands.output import DONE, FAILED, INTERRUPTED, USAGE, Output
from sg_tui.terminal.streams import hold_closed, on_terminal

_COMMANDS = {
    "complete": complete,
    "chat": chat,
    "score": score,
    "bench": bench,
    "train": train,
    "models": models,
    "doctor": doctor,
}
_DESCRIPTION = """\
A GPT-2 in your terminal: complete text and chat, see where every millisecond of every token goes, and switch each
optimization of the engine on and off while the text streams. Without a command, the app opens.
"""
_EPILOG = "Data goes to stdout, narration to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    hold_closed()
    args = _parser().parse_args(argv)
    output = Output()
    program = f"sg-tui {args.command}" if args.command else "sg-tui"
    if args.command:
        notices.listen(output.note)
    try:
        _require_order(args)
        if args.command:
            output.require_stdout()
        code: int = _COMMANDS[args.command].run(args, output) if args.command else _open_app(args, output)
        output.close()
        return code
    except BrokenPipeError:
        output.abandon()
        return DONE
    except KeyboardInterrupt:
        return _ended(output, INTERRUPTED, program, "interrupted")
    except SettingError as error:
        return _ended(output, USAGE, program, str(error))
    except SgError as error:
        return _ended(output, FAILED, program, str(error))
    except MemoryError:
        return _ended(output, FAILED, program, "not enough memory; choose a smaller model, batch or context")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _ended(output, FAILED, program, f"{place}{error.strerror or error}")
    except Exception as error:
        if os.environ.get("SG_DEBUG"):
            raise
        from sg_core.crash_report import unforeseen

        return _ended(output, FAILED, program, unforeseen(error))
    finally:
        notices.listen(None)


def _ended(output: Output, code: int, program: str, message: str) -> int:
    try:
        output.error(program, message)
        output.close()
    except OSError:
        output.abandon()
    return code


def _parser() -> Parser:
    parser = Parser(prog="sg-tui", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"sg-tui {__version__}")
    app = parser.add_argument_group("the app")
    # names of their own: a command's options of the same name would overwrite these unseen
    app.add_argument("--model", dest="app_model", metavar="M", help=MODEL_HELP)
    app.add_argument(
        "--adapter", dest="app_adapter", action="append", metavar="FOLDER[:SCALE]", help=ADAPTER_HELP
    )  # fmt: skip
    app.add_argument("--precision", dest="app_precision", metavar="P", help=PRECISION_HELP)
    app.add_argument("--threads", dest="app_threads", type=whole(1, MOST_THREADS), metavar="N", help=THREADS_HELP)
    plain = "special tokens in what is typed are plain text"
    app.add_argument("--plain", dest="app_plain", action="store_true", default=None, help=plain)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for name, module in _COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.DESCRIPTION)
        module.add_options(command)
    return parser


def _require_order(args: argparse.Namespace) -> None:
    for option in ("model", "adapter", "precision", "threads", "plain"):
        if args.command and getattr(args, f"app_{option}") is not None:
            raise SettingError(f"--{option} belongs after the command: sg-tui {args.command} --{option} ...")


def _open_app(args: argparse.Namespace, output: Output) -> int:
    if not on_terminal():
        raise SgError("the app needs a terminal; to write into a pipe or a file use: sg-tui complete PROMPT")
    if os.environ.get("TERM", "dumb") in ("dumb", ""):
        raise SgError(
            "the app needs a terminal that can draw, but TERM is dumb or not set; use: sg-tui complete PROMPT"
        )
    if args.app_precision is not None:
        Precision.named(args.app_precision)
    from sg_tui.app import SgApp

    app = SgApp(
        args.app_model or DEFAULT_MODEL,
        args.app_precision,
        args.app_threads,
        adapters=tuple(args.app_adapter or ()),
        plain=bool(args.app_plain),
    )
    app.run()
    app.desk.part(output.note)
    if app.crash:
        output.error("sg-tui", app.crash)
        return FAILED
    return app.return_code or DONE


if __name__ == "__main__":
    sys.exit(main())

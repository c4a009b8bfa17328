"""`sg-tui doctor`: what this machine gives the program. Every line stands for itself, whatever else is broken."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from sg_core.network.precisions import PRECISIONS, Precision
from sg_tui.commands.output import DONE, FAILED, Output

HELP = "show folders, versions, CPU and speed of this machine"
DESCRIPTION = "Show what this machine gives the program. Exit code 1 when something is broken."
_PACKAGES = ("textual", "numpy", "numba", "llvmlite", "tiktoken", "huggingface_hub", "platformdirs")
_FEATURES = (
    "sse4.2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512vnni",
    "avx512bf16",
    "avxvnni",
    "amx-bf16",
    "neon",
    "fullfp16",
    "dotprod",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command has no options."""


def run(args: argparse.Namespace, output: Output) -> int:
    """Print every line; the measurement comes last because it takes a moment."""
    broken = False
    for name, look in _LINES:
        if name == "read rate":
            output.progress("measuring")
        try:
            found = look()
        except Exception as problem:  # whatever it is, it is what this command is for
            found = f"BROKEN: {' '.join(str(problem).split()) or type(problem).__name__}"
            broken = True
        output.line(f"{name:<15} {found}")
    return FAILED if broken else DONE


def _program() -> str:
    import sg_core

    return f"{sg_core.__version__}, in {Path(sg_core.__file__).parent}"


def _python() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"


def _system() -> str:
    return f"{platform.system()} {platform.release()}, {platform.machine()}"


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{package} {version(package)}" for package in _PACKAGES)


def _folder(kind: str) -> Callable[[], str]:
    def look() -> str:
        from sg_core import paths

        folder: Path = getattr(paths, kind)()
        if not folder.is_dir():
            raise OSError(f"{folder} can't be made")
        if not os.access(folder, os.W_OK):
            raise OSError(f"{folder} can't be written")
        return str(folder)

    return look


def _models() -> str:
    from sg_core.storage.hub import installed

    return ", ".join(model.name for model in installed()) or "none"


def _cpu() -> str:
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    known = " ".join(name for name in _FEATURES if features.get(name))
    return f"{binding.get_host_cpu_name()}: {known or 'no vector features that are used here'}"


def _vectors() -> str:
    from sg_core.kernels.simd import LANES
    from sg_core.kernels.system import vector_unit

    return f"kernels compute {LANES} float32 numbers at a time, with {vector_unit()}"


def _cores() -> str:
    from sg_core.processors import physical_cores, usable_processors

    machine = f"{os.cpu_count() or 1} logical"
    return f"{machine}, {usable_processors()} of them for this process: {physical_cores()} physical"


def _threads() -> str:
    from sg_core.config import GPT2Config
    from sg_core.inference.threads import default_threads

    large = default_threads(4 * GPT2Config.gpt2().parameter_count)
    return f"{large} for GPT-2, {default_threads(0)} for small models"


def _memory() -> str:
    from sg_core.memory import available_memory

    free = available_memory()
    return "unknown" if free is None else f"{free / 1e9:,.1f} GB free"


def _kernels() -> str:
    from sg_core.measure.compilation import cache_description, compiled

    state = "compiled and verified" if compiled() else "not compiled yet (the first start does it)"
    reduced = [name for name in PRECISIONS if Precision.named(name).reduced]
    there = [name for name in reduced if compiled(name)]
    if there:
        state += f", for {', '.join(there)} too"
    if missing := [name for name in reduced if name not in there]:
        state += f", for {', '.join(missing)} not yet (their first use does it)"
    return f"{state}, {cache_description()}"


def _terminal() -> str:
    size = "no terminal"
    if sys.stdout.isatty():
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
        size = f"{columns}x{lines}"
    names = ("TERM", "COLORTERM", "NO_COLOR", "TMUX")
    facts = [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)]
    return ", ".join([size, *facts, f"encoding {sys.stdout.encoding}"])


def _read_rate() -> str:
    from sg_core.kernels.bandwidth import SIZE, ReadBandwidth
    from sg_core.processors import physical_cores

    threads = sorted({1, physical_cores()})
    rates = (f"{ReadBandwidth(count).measure() / 1e9:.1f} GB/s with {count}" for count in threads)
    return f"{', '.join(rates)} (threads, over {SIZE >> 20} MB)"


_LINES: tuple[tuple[str, Callable[[], str]], ...] = (
    ("sg-tui", _program),
    ("python", _python),
    ("system", _system),
    ("packages", _versions),
    ("models", _models),
    ("cache folder", _folder("cache_dir")),
    ("data folder", _folder("data_dir")),
    ("settings folder", _folder("config_dir")),
    ("terminal", _terminal),
    ("cpu", _cpu),
    ("vectors", _vectors),
    ("cores", _cores),
    ("threads", _threads),
    ("memory", _memory),
    ("kernels", _kernels),
    ("read rate", _read_rate),
)

"""Which files a person means by the names of texts: paths, patterns, folders; and how much they hold."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sg_core.errors import DataError
from sg_core.files import can_be, expanded, given_path, shown
from sg_core.training.text_files import seems_text, text_size
from sg_core.types import Cancelled

NAMED = {"tinyshakespeare": 1_115_394, "python-docs": 700_000}  # texts that have a name, and about how many bytes


@dataclass(frozen=True, slots=True)
class Survey:
    """What sources hold: files, and about how many bytes of text."""

    files: int
    size: int


def matching(source: str) -> list[Path]:
    """The paths that fit a pattern, in their order; a path itself, also one that does not exist. Raises DataError."""
    if not glob.has_magic(source):
        return [given_path(source, DataError)]
    path = expanded(source)
    if can_be(path) and path.exists():
        return [path]
    found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
    if not found:
        raise DataError(f"no file is called {shown(path)}; name a text file, a folder, or a pattern that fits some")
    return found


def text_files(path: Path, left_out: list[str], cancelled: Cancelled | None = None) -> list[Path]:
    """A file itself; of a folder the text files in it and below, in the order of their paths, hidden ones not.

    What is no text is added to `left_out`. Raises DataError.
    """
    if not path.is_dir():
        return [path]
    found = []
    for file in sorted(_files(path), key=lambda file: file.relative_to(path).parts):
        go_on(cancelled, f"reading {shown(path)}")
        if not file.is_file() or not seems_text(file):
            left_out.append(str(file))
        elif file.stat().st_size:
            found.append(file)
    return found


def survey(sources: Sequence[str], cancelled: Cancelled | None = None) -> Survey:
    """How much the sources hold, without reading them. Raises DataError for one that is not there."""
    size = sum(NAMED[source] for source in sources if source in NAMED)
    files = [
        file
        for source in sources
        if source not in NAMED
        for path in matching(source)
        for file in text_files(path, [], cancelled)
    ]
    size += sum(map(text_size, files))
    if not size:
        raise DataError("no text is there; name a text file, a folder of them, or a pattern that fits some")
    return Survey(len(files) + sum(source in NAMED for source in sources), size)


def go_on(cancelled: Cancelled | None, what: str) -> None:
    """Raises DataError once cancelled."""
    if cancelled is not None and cancelled():
        raise DataError(f"{what} was stopped")


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder but hidden ones; links to folders are not followed. Raises DataError."""

    def refuse(problem: OSError) -> None:
        raise DataError(f"{shown(problem.filename)} can't be read: {(problem.strerror or '').lower()}")

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))

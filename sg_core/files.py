"""Reading and writing files whose names and contents may be anything."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from sg_core.checks import quoted
from sg_core.errors import SgError

_MOST_SHOWN = 400  # characters of a name in a message


def shown(name: object) -> str:
    """A name as it may stand in a message: control characters, newlines and bidi marks escaped, one line.

    Of a very long one the middle is left out.
    """
    text = _shortened(str(name))
    if text.isprintable():
        return text
    return _shortened("".join(char if char.isprintable() else ascii(char)[1:-1] for char in text))


def _shortened(text: str) -> str:
    half = _MOST_SHOWN // 2
    return text if len(text) <= _MOST_SHOWN else f"{text[:half]}...{text[-half:]}"


def expanded(name: str) -> Path:
    """The path of a name; ~ is the home folder, and a user whom nobody knows is taken for a part of the name."""
    return Path(os.path.expanduser(name))


def given_path(name: str, error: type[SgError]) -> Path:
    """`expanded`, of a name that someone gave. Raises `error` for one that no file can have."""
    path = expanded(name)
    if (wrong := _impossible(path)) is not None:
        raise error(f"{shown(name)} can't be the name of a file: {wrong}")
    return path


def can_be(path: Path) -> bool:
    """Whether a file could have this path, there or not: it is not too long, and has no null character."""
    return _impossible(path) is None


def _impossible(path: Path) -> str | None:
    """Why no file can have this path; None where it could be one, whether it is there or not."""
    try:
        os.lstat(path)
    except ValueError:
        return "it holds a null character or a broken one"
    except OSError as problem:
        return "it is too long" if problem.errno == errno.ENAMETOOLONG else None
    return None


def absolute(name: str) -> str:
    """A path that means the same from every folder; anything else, the name of a text or model, stays."""
    path = expanded(name)
    return str(path.absolute()) if can_be(path) and path.exists() else name


def reason(error: OSError) -> str:
    """Why the system refused, without the path that its own text repeats."""
    return (error.strerror or str(error)).lower()


@contextlib.contextmanager
def open_regular(path: Path, error: type[SgError]) -> Iterator[BufferedReader]:
    """Opens a regular file for reading; a folder, FIFO, device or symlink loop raises `error` at once."""
    try:
        # O_NONBLOCK: opening a FIFO nobody writes to would wait for ever
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as problem:
        raise error(f"{shown(path)} can't be read: {reason(problem)}") from problem
    except ValueError as problem:  # a null character in the name
        raise error(f"{shown(path)} can't be read: {problem}") from problem
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise error(f"{shown(path)} is {kind}; a file is needed")
        file = os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
    with file:
        yield file


def read_bytes(path: Path, limit: int, error: type[SgError]) -> bytes:
    """The whole of a regular file of at most `limit` bytes; raises `error` otherwise."""
    with open_regular(path, error) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise error(f"{shown(path)} has {size:,} bytes; at most {limit:,} are read")
        try:
            data = file.read(min(limit, size) + 1)
        except OSError as problem:
            raise error(f"{shown(path)} can't be read: {reason(problem)}") from problem
    if len(data) > size:
        raise error(f"{shown(path)} grew while it was read; try again")
    return data


def read_json_object(path: Path, limit: int, error: type[SgError]) -> dict[str, Any]:
    """A JSON object from a UTF-8 file of at most `limit` bytes; raises `error` for anything else."""
    return parse_json_object(read_bytes(path, limit, error), shown(path), error)


def parse_json_object(data: bytes, where: str, error: type[SgError]) -> dict[str, Any]:
    """A JSON object from UTF-8 bytes, which may begin with a mark of their order. Raises `error`, beginning with
    `where`; also for duplicate keys."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise error(f"{where} has the key {quoted(twice)} twice")
        return result

    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=unique)
    except UnicodeDecodeError as problem:
        raise error(f"{where} is not UTF-8 text (byte {problem.start})") from problem
    except RecursionError as problem:
        raise error(f"{where} is nested too deeply") from problem
    except json.JSONDecodeError as problem:
        raise error(f"{where} is not valid JSON: {problem}") from problem
    except ValueError as problem:  # of int(): Python refuses to read thousands of digits
        raise error(f"{where} holds a number of too many digits") from problem
    if not isinstance(value, dict):
        raise error(f"{where} holds a JSON {type(value).__name__}; an object is needed")
    return value


def make_folder(folder: Path, error: type[SgError]) -> None:
    """Makes a folder and its parents where they are missing; raises `error` when that can't be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise error(f"the folder {shown(folder)} can't be made: {reason(problem)}") from problem


@contextlib.contextmanager
def replacing(path: Path, error: type[SgError]) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path`, synced, when the block ends well; else nothing changes."""
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as problem:
        raise error(f"{shown(path)} can't be written: {reason(problem)}") from problem
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)

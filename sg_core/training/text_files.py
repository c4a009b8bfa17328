"""Text files as people have them: UTF-8 or UTF-16, gzip, JSON Lines; read a block at a time, no byte lost silently."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from sg_core.checks import quoted
from sg_core.errors import DataError
from sg_core.files import open_regular, reason, shown

BLOCK = 4 << 20  # bytes read at a time
LONGEST_LINE = 64 << 20  # characters of a JSON line
JSON_LINES = (".jsonl", ".ndjson")

Read = Callable[[str, int, int], None]  # called with (file's name, bytes read, bytes in all)
Decode = Callable[[Any, str | None, bool], tuple[str, int]]

_GZIP = b"\x1f\x8b"
_FORMATS = {  # first bytes of what is no text -> what it is, and what to do
    b"PK\x03\x04": "a zip archive or an office document; unpack it, or save it as plain text",
    b"%PDF-": "a PDF; convert it first, for example with pdftotext",
    b"BZh": "compressed with bzip2; unpack it first: bunzip2",
    b"\xfd7zXZ\0": "compressed with xz; unpack it first: unxz",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard; unpack it first: unzstd",
}
# byte order mark -> encoding; the longer ones first, because one begins with another
_MARKS: tuple[tuple[bytes, str, Decode], ...] = (
    (codecs.BOM_UTF32_LE, "UTF-32", codecs.utf_32_le_decode),
    (codecs.BOM_UTF32_BE, "UTF-32", codecs.utf_32_be_decode),
    (codecs.BOM_UTF16_LE, "UTF-16", codecs.utf_16_le_decode),
    (codecs.BOM_UTF16_BE, "UTF-16", codecs.utf_16_be_decode),
    (codecs.BOM_UTF8, "UTF-8", codecs.utf_8_decode),
)


def is_json_lines(path: Path) -> bool:
    """Whether a file's name says that each line is a JSON object, compressed or not."""
    return path.name.lower().removesuffix(".gz").endswith(JSON_LINES)


def seems_text(path: Path) -> bool:
    """Whether a file begins as texts do: no NUL byte, nothing that another format begins with. Raises DataError."""
    with open_regular(path, DataError) as file:
        first = _read(file, path, 8192)
    if first.startswith((_GZIP, *(mark for mark, _, _ in _MARKS))):
        return True
    return b"\0" not in first and not first.startswith(tuple(_FORMATS))


def text_size(path: Path) -> int:
    """About how many bytes of text a file holds, without reading it: what gzip's last bytes say (less 4 GB), or its
    length. Raises DataError."""
    with open_regular(path, DataError) as file:
        size = os.fstat(file.fileno()).st_size
        if _read(file, path, 2) != _GZIP or size < 8:
            return size
        file.seek(-4, os.SEEK_END)
        return max(size, int.from_bytes(_read(file, path, 4), "little"))


def read_documents(path: Path, field: str, told: Read) -> Iterator[Iterator[str]]:
    """The documents of a file, each in blocks of text, to be read in order: one, or as many as there are JSON lines.

    A byte order mark at the start is dropped; everything else is kept as it is, CRLF too. field: of a JSON line, which
    holds its text. Raises DataError, naming the place, for what is no text.
    """
    blocks = _decoded(path, told)
    if is_json_lines(path):
        yield from (iter([text]) for text in _json_texts(blocks, field, shown(path)) if text)
    else:
        yield blocks


def _decoded(path: Path, told: Read) -> Iterator[str]:
    """The text of a file in blocks. Raises DataError."""
    where = shown(path)
    name = ""
    decode: Decode = codecs.utf_8_decode
    rest, base, lines = b"", 0, 0  # what could not be decoded yet, its place in the file, line ends before it
    for number, block in enumerate(_blocks(path, told)):
        if number == 0:
            mark, name, decode = _encoding(block)
            rest, base = b"", len(mark)
            block = block[len(mark) :]
        data = rest + block
        if name == "UTF-8" and (null := data.find(b"\0")) >= 0:
            raise DataError(_null(where, base + null, data))
        text, used = _decode(decode, data, not block, name, where, base, lines)
        if name != "UTF-8" and "\0" in text:
            raise DataError(f"{where} is not text: it has a null character, although it is marked as {name}")
        if text:
            yield text
        lines += data.count(b"\n", 0, used)
        rest, base = data[used:], base + used


def _encoding(block: bytes) -> tuple[bytes, str, Decode]:
    for mark, name, decode in _MARKS:
        if block.startswith(mark):
            return mark, name, decode
    return b"", "UTF-8", codecs.utf_8_decode


def _decode(decode: Decode, data: bytes, final: bool, name: str, where: str, base: int, lines: int) -> tuple[str, int]:
    try:
        return decode(data, "strict", final)
    except UnicodeDecodeError as problem:
        place, line = base + problem.start, lines + data.count(b"\n", 0, problem.start) + 1
        advice = "convert it first, for example with iconv -f LATIN1 -t UTF-8" if name == "UTF-8" else "it is damaged"
        raise DataError(
            f"{where} is not {name}: byte {place:,} (line {line:,}) is 0x{data[problem.start]:02x}; {advice}"
        ) from problem


def _null(where: str, place: int, data: bytes) -> str:
    even, odd = data[:1000:2].count(0), data[1:1000:2].count(0)
    wide = min(len(data), 1000) // 5
    hint = ""
    if max(even, odd) > wide:
        hint = f"; it may be UTF-16 without a mark: iconv -f UTF-16{'LE' if odd > even else 'BE'} -t UTF-8"
    return f"{where} is not text: it has a NUL byte at byte {place:,}{hint}"


def _blocks(path: Path, told: Read) -> Iterator[bytes]:
    """The bytes of a file, unpacked if it is gzip's, in blocks; an empty one at the end. Raises DataError."""
    with open_regular(path, DataError) as file:
        total = os.fstat(file.fileno()).st_size
        first = _read(file, path, 8)
        file.seek(0)
        for mark, what in _FORMATS.items():
            if first.startswith(mark):
                raise DataError(f"{shown(path)} is {what}")
        source: IO[bytes] = gzip.GzipFile(fileobj=file) if first.startswith(_GZIP) else file  # type: ignore[assignment]
        while True:
            block = _read(source, path, BLOCK)
            yield block
            if not block:
                return
            told(path.name, min(file.tell(), total), total)


def _read(file: IO[bytes] | BufferedReader, path: Path, size: int) -> bytes:
    try:
        return file.read(size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise DataError(f"{shown(path)} is damaged: it is no whole gzip file ({problem})") from problem
    except OSError as problem:
        raise DataError(f"{shown(path)} can't be read: {reason(problem)}") from problem


def _json_texts(blocks: Iterator[str], field: str, where: str) -> Iterator[str]:
    """The texts of JSON lines; empty lines are passed over. Raises DataError, naming the line."""
    rest, number = "", 0
    for block in blocks:
        lines = (rest + block).split("\n")
        rest = lines.pop()
        for line in lines:
            number += 1
            if line.strip():
                yield _json_text(line, field, f"{where}, line {number:,},")
        if len(rest) > LONGEST_LINE:
            raise DataError(f"{where}, line {number + 1:,}, is longer than {LONGEST_LINE:,} characters")
    if rest.strip():
        yield _json_text(rest, field, f"{where}, line {number + 1:,},")


def _json_text(line: str, field: str, where: str) -> str:
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{where} is not JSON: {shown(problem)}") from problem
    if not isinstance(found, dict):
        raise DataError(f"{where} is no JSON object; JSON Lines of objects with a text are needed")
    if not isinstance(found.get(field), str):
        texts = ", ".join(shown(name)[:40] for name, value in found.items() if isinstance(value, str)) or "none"
        what = "holds no text" if field in found else "does not exist"
        raise DataError(f"{where} the field {quoted(field)} {what}; fields with a text: {texts} (see --field)")
    return str(found[field])

"""Files as bad disks, cut copies and wrong or hostile programs leave them."""

from __future__ import annotations

import copy
import json
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FEW, MANY = 40, 4000
MOST_BYTES = 64 << 20  # of Python's and NumPy's memory: all that the machine is said to have
MOST_SECONDS = 20.0  # far beyond any of these, on a busy machine too

STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 3, 1 << 40, 1 << 70, 1e300, -0.5, "", "x", "x" * 5000, "\x1b[2J", "a\0b", "\ud800", "../x",
    "<f4", [], [1], [1 << 40, 1 << 40], [[[]]], {}, {"a": 1}, {"\x1b]0;title\x07": 1},
)  # fmt: skip


def mutated(good: bytes, chance: random.Random) -> bytes:
    """The bytes after one to four changes: bits flipped, cut, put in, left out or zeroed; of JSON also its values."""
    if chance.random() < 0.5:
        try:
            return _json_mutated(json.loads(good), chance)
        except ValueError:
            pass
    data = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        place, length = chance.randrange(len(data) + 1), chance.choice((1, 2, 8, 64, 4096))
        match chance.randrange(6):
            case 0 if data:
                data[min(place, len(data) - 1)] ^= 1 << chance.randrange(8)
            case 1:
                del data[place:]
            case 2:
                data[place:place] = chance.randbytes(length)
            case 3:
                del data[place : place + length]
            case 4:
                data[place : place + length] = bytes(min(length, len(data) - place))
            case _:
                data[place : place + length] = data[-length:]
    return bytes(data)


def _json_mutated(value: Any, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 3))):
        found = places(value)
        if not found:
            break
        *path, last = chance.choice(found)
        inner = value
        for key in path:
            inner = inner[key]
        kind = chance.random()
        if kind < 0.2:
            del inner[last]
        elif kind < 0.3 and isinstance(inner, dict):
            inner[chance.choice(("\x1b[31m", "../x", "/etc/passwd", "a\0b", "extra"))] = inner.pop(last)
        else:
            inner[last] = copy.deepcopy(chance.choice(STRANGE))
    return json.dumps(value).encode()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(*path, key) for key, _ in inner] + [place for key, one in inner for place in places(one, (*path, key))]


def is_a_line(said: str) -> bool:
    """Whether a person can read it in one line, whatever terminal shows it."""
    return said.isprintable() and 0 < len(said) < 1500


@contextmanager
def bounded() -> Iterator[None]:
    """Within the block neither time nor memory may grow beyond what is said above. Memory must be traced already."""
    began = time.monotonic()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    yield
    assert time.monotonic() - began < MOST_SECONDS
    assert tracemalloc.get_traced_memory()[1] - before < MOST_BYTES


def changed_files(path: Path, count: int, kind: str) -> Iterator[int]:
    """`path` holds what it holds now, each time with other changes."""
    good, chance = path.read_bytes(), random.Random(kind)
    for number in range(count):
        path.unlink(missing_ok=True)  # it may share its bytes with another name
        path.write_bytes(mutated(good, chance))
        yield number


def refusals(path: Path, count: int, kind: str, read: Callable[[], object], *errors: type[Exception]) -> int:
    """How many of so many changed files `read` refuses: each is read, or refused in a line."""
    refused = 0
    for number in changed_files(path, count, kind):
        said = None
        with bounded():
            try:
                read()
            except errors as problem:
                said = str(problem)
        if said is not None:
            refused += 1
            assert is_a_line(said), (number, said)
    return refused

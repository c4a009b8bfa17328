"""Files as bad disks, cut copies and wrong or hostile programs leave them."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

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

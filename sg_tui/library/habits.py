"""Which actions of the palette a person uses: each use counts one, and half as much a week later."""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import suppress
from pathlib import Path

from sg_core.errors import SettingError
from sg_core.files import read_bytes

NAME = "used.json"
HALF = 7 * 24 * 3600.0  # seconds after which a use counts half
MOST = 200  # actions that are remembered
LARGEST = 1 << 16  # bytes of a file that is read


class Habits:
    """`weight` of an action, by its name; what can't be read or written is no loss, and not told."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._uses: dict[str, tuple[float, float]] = {}  # weight at a time, in seconds since 1970
        with suppress(OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            data = json.loads(read_bytes(self._path, LARGEST, SettingError))
            read = {str(name): (float(weight), float(at)) for name, (weight, at) in data.items()}
            self._uses = {name: use for name, use in read.items() if all(map(math.isfinite, use))}

    def weight(self, name: str) -> float:
        """How often, and how lately, an action was used; 0 for never."""
        weight, at = self._uses.get(name, (0.0, 0.0))
        return weight * math.exp2(-max(0.0, time.time() - at) / HALF)

    def used(self, name: str) -> None:
        """Count a use."""
        self._uses[name] = (self.weight(name) + 1.0, time.time())
        while len(self._uses) > MOST:
            del self._uses[min(self._uses, key=self.weight)]

    def write(self) -> None:
        """Keep it, whole or not at all."""
        unfinished = self._path.with_name(f".{NAME}.{os.getpid()}")
        with suppress(OSError):
            unfinished.write_text(json.dumps(dict(self._uses)), encoding="ascii")
            unfinished.replace(self._path)

"""Lines that a person should see once, told by code that knows neither screen nor stream."""

from __future__ import annotations

from collections.abc import Callable

_told: set[str] = set()
_waiting: list[str] = []
_listener: Callable[[str], None] | None = None


def tell(line: str) -> None:
    """Tell a line, at once or as soon as somebody listens; the same line is told once a process."""
    if line in _told:
        return
    _told.add(line)
    if _listener is None:
        _waiting.append(line)
    else:
        _listener(line)


def listen(listener: Callable[[str], None] | None) -> None:
    """From now on `listener` is told, what waits first; None: lines wait again."""
    global _listener
    _listener = listener
    while _listener is not None and _waiting:
        _listener(_waiting.pop(0))

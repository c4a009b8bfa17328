"""What is remembered from one session to the next, in settings.toml: written whole, read with care."""

from __future__ import annotations

import contextlib
import os
import tempfile
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sg_core.checks import number, quoted, whole
from sg_core.errors import SettingError
from sg_core.files import read_bytes
from sg_core.inference.sampling import Sampling
from sg_core.network.precisions import PRECISIONS
from sg_tui.state.play import Cast, name
from sg_tui.terminal.textsafe import safe_line

FILE, BROKEN = "settings.toml", "settings-broken.toml"
LONGEST = 1 << 20  # bytes of a settings file that are read


@dataclass(frozen=True, slots=True)
class Preferences:
    """mode: "complete" or "chat"; theme: "dark" or "light"; model: the one used last, offered first.

    precision: how weights are stored. pace: tokens a second that are shown, 0 for as fast as they come. toured: the
    first minute is over.
    """

    mode: str = "complete"
    theme: str = "dark"
    model: str = ""
    max_tokens: int = 400
    cast: Cast = field(default_factory=Cast)
    sampling: Sampling = field(default_factory=Sampling)
    precision: str = PRECISIONS[0]
    pace: float = 0.0
    toured: bool = True


READING_PACE = 12.0  # tokens a second
FIRST = Preferences(pace=READING_PACE, toured=False)  # of someone who was never here


def read(folder: Path) -> tuple[Preferences, str]:
    """The settings in `folder`, and a line to tell when they could not be used ("" if all is well).

    A file that can't be used is kept aside under another name, and the usual settings hold.
    """
    path = folder / FILE
    try:
        os.lstat(path)
        data = read_bytes(path, LONGEST, SettingError)
        return _parse(tomllib.loads(data.decode("utf-8"))), ""
    except FileNotFoundError:
        return (Preferences() if (folder / BROKEN).exists() else FIRST), ""
    except OSError as problem:
        return Preferences(), f"settings can't be read ({problem.strerror}); the usual ones hold"
    except (ValueError, SettingError, RecursionError) as problem:
        if isinstance(problem.__cause__, OSError):  # it may be read again: it stays
            return Preferences(), f"settings can't be read ({problem.__cause__.strerror}); the usual ones hold"
        return Preferences(), _keep_aside(path, problem)


def write(folder: Path, preferences: Preferences) -> None:
    """Write the settings, all or nothing. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".settings-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(_toml(preferences))
        os.replace(temporary, folder / FILE)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _keep_aside(path: Path, problem: Exception) -> str:
    kept = path.with_name(BROKEN)
    where = f"it is kept as {kept.name}"
    try:
        os.replace(path, kept)
    except OSError:
        where = "it stays where it is"
    return f"{path.name} can't be used ({safe_line(str(problem), 120)}); {where}, and the usual settings hold"


def _parse(data: dict[str, Any]) -> Preferences:
    """Raises ValueError, SettingError."""
    usual = Preferences()
    chat, sampling = _table(data, "chat"), _table(data, "sampling")
    known = {one.name for one in fields(Sampling)}
    return Preferences(
        mode=_choice(data, "mode", ("complete", "chat"), usual.mode),
        theme=_choice(data, "theme", ("dark", "light"), usual.theme),
        model=_text(data, "model", ""),
        max_tokens=_whole(data, "max_tokens", usual.max_tokens),
        cast=Cast(
            name(_text(chat, "person", ""), usual.cast.person),
            name(_text(chat, "model", ""), usual.cast.model),
        ),
        precision=_choice(data, "precision", PRECISIONS, usual.precision),
        pace=_pace(data, usual.pace),
        toured=_flag(data, "toured", usual.toured),
        sampling=replace(Sampling(), **{key: value for key, value in sampling.items() if key in known}),
    )


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise ValueError(f"{key} is {quoted(value)}; it must be a table")
    return value


def _text(data: dict[str, Any], key: str, usual: str) -> str:
    value = data.get(key, usual)
    if not isinstance(value, str):
        raise ValueError(f"{key} is {quoted(value)}; it must be a text")
    return value


def _choice(data: dict[str, Any], key: str, allowed: tuple[str, ...], usual: str) -> str:
    value = _text(data, key, usual)
    if value not in allowed:
        raise ValueError(f"{key} is {quoted(value)}; it must be one of {', '.join(allowed)}")
    return value


def _whole(data: dict[str, Any], key: str, usual: int) -> int:
    return whole(key, data.get(key, usual), 1, 1_000_000)


def _pace(data: dict[str, Any], usual: float) -> float:
    return number("pace", data.get("pace", usual), 0.0, 1000.0)


def _flag(data: dict[str, Any], key: str, usual: bool) -> bool:
    value = data.get(key, usual)
    if not isinstance(value, bool):
        raise ValueError(f"{key} is {quoted(value)}; it must be true or false")
    return value


def _toml(preferences: Preferences) -> str:
    lines = [
        "# Settings of sg-tui, written when it ends.",
        f"mode = {_quoted(preferences.mode)}",
        f"theme = {_quoted(preferences.theme)}",
        f"model = {_quoted(preferences.model)}",
        f"max_tokens = {preferences.max_tokens}",
        f"precision = {_quoted(preferences.precision)}",
        f"pace = {preferences.pace!r}",
        f"toured = {str(preferences.toured).lower()}",
        "",
        "[chat]",
        f"person = {_quoted(preferences.cast.person)}",
        f"model = {_quoted(preferences.cast.model)}",
        "",
        "[sampling]",
        *(f"{one.name} = {getattr(preferences.sampling, one.name)!r}" for one in fields(Sampling)),
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.encode("utf-8", "replace").decode("utf-8").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'

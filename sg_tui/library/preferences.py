"""What is remembered from one session to the next, in settings.toml: written whole, read with care."""

from __future__ import annotations

import contextlib
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sg_core.checks import quoted
from sg_core.errors import SettingError
from sg_core.files import put_in_place, read_bytes
from sg_core.inference.sampling import Sampling
from sg_core.network.precisions import PRECISIONS
from sg_core.setting import check_settings, choice, setting, settings_of, words
from sg_tui.state.play import Cast, name
from sg_tui.terminal.textsafe import safe_line

FILE, BROKEN = "settings.toml", "settings-broken.toml"
LONGEST = 1 << 20  # bytes of a settings file that are read


@dataclass(frozen=True, slots=True)
class Preferences:
    """What is remembered. model: the one used last, offered first; keys: by the names of actions, as people write them.

    one_precision: weights are held in the precision in use alone. toured: the first minute is over.

    Raises SettingError.
    """

    mode: str = choice("complete", ("complete", "chat"), "what a text is: completed, or a chat")
    theme: str = choice("dark", ("dark", "light"), "the colours")
    model: str = words("the model used last")
    max_tokens: int = setting(400, 1, 1_000_000, "tokens that are written at a go")
    cast: Cast = field(default_factory=Cast)
    sampling: Sampling = field(default_factory=Sampling)
    precision: str = choice(PRECISIONS[0], PRECISIONS, "how weights are stored")
    pace: float = setting(0.0, 0.0, 1000.0, "tokens a second that are shown; 0: as fast as they come")
    one_precision: bool = False
    toured: bool = True
    keys: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self)


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
        put_in_place(temporary, folder / FILE)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _keep_aside(path: Path, problem: Exception) -> str:
    kept = path.with_name(BROKEN)
    where = f"it is kept as {kept.name}"
    try:
        put_in_place(path, kept)
    except OSError:
        where = "it stays where it is"
    return f"{path.name} can't be used ({safe_line(str(problem), 120)}); {where}, and the usual settings hold"


def _parse(data: dict[str, Any]) -> Preferences:
    """Raises ValueError, SettingError."""
    usual = Preferences()
    chat, sampling, keys = _table(data, "chat"), _table(data, "sampling"), _table(data, "keys")
    known = {one.name for one in settings_of(Sampling)}
    return Preferences(
        **{one.name: data[one.name] for one in settings_of(Preferences) if one.name in data},
        cast=Cast(
            name(_text(chat, "person", ""), usual.cast.person),
            name(_text(chat, "model", ""), usual.cast.model),
        ),
        one_precision=_flag(data, "one_precision", usual.one_precision),
        toured=_flag(data, "toured", usual.toured),
        sampling=replace(Sampling(), **{key: value for key, value in sampling.items() if key in known}),
        keys={key: _text(keys, key, "") for key in keys},
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


def _flag(data: dict[str, Any], key: str, usual: bool) -> bool:
    value = data.get(key, usual)
    if not isinstance(value, bool):
        raise ValueError(f"{key} is {quoted(value)}; it must be true or false")
    return value


def _toml(preferences: Preferences) -> str:
    cast, sampling = preferences.cast, preferences.sampling
    lines = [
        "# Settings of sg-tui, written by it.",
        *(f"{one.name} = {_value(getattr(preferences, one.name))}" for one in settings_of(Preferences)),
        "# true: weights are held in this precision alone, which takes less memory; another one is read from disk",
        f"one_precision = {str(preferences.one_precision).lower()}",
        f"toured = {str(preferences.toured).lower()}",
        "",
        "[chat]",
        f"person = {_quoted(cast.person)}",
        f"model = {_quoted(cast.model)}",
        "",
        "[sampling]",
        *(f"{one.name} = {_value(getattr(sampling, one.name))}" for one in fields(Sampling)),
    ]
    if preferences.keys:
        lines += ["", "[keys]", *(f"{_quoted(one)} = {_quoted(keys)}" for one, keys in preferences.keys.items())]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.encode("utf-8", "replace").decode("utf-8").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'

"""The keys a person has chosen instead of those of the table: checked, and told apart from those of other actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sg_tui.keys.action import Action, Scope, key_text, named_key

MODIFIERS = ("ctrl", "alt", "shift")
# Places that hear keys at the same time: what is chosen for one must not mean another thing in the others.
TOGETHER: tuple[frozenset[Scope], ...] = (
    frozenset({"write", "small", "prompt", "document"}),
    frozenset({"train", "chart"}),
    frozenset({"library", "search"}),
)
TYPING: frozenset[Scope] = frozenset({"app", "write", "small", "prompt", "sampling", "search", "dialog"})
_chosen: dict[str, tuple[str, ...]] = {}


def name_of(action: Action) -> str:
    """What the settings call an action: its place and its id."""
    return f"{action.scope}.{action.id}"


def chosen() -> Mapping[str, tuple[str, ...]]:
    """Textual's names of the keys that were chosen, by the names of their actions."""
    return _chosen


def present(action: Action) -> Action:
    """The row of the table, with the keys that were chosen."""
    keys = _chosen.get(name_of(action))
    return action if keys is None else replace(action, keys=keys, shown="")


def choose(wanted: Mapping[str, str], table: Iterable[Action]) -> list[str]:
    """From now on these keys hold, written as "Ctrl+E" or "ctrl+e f11"; lines tell which can't, and are left out."""
    rows = {name_of(action): action for action in table if action.keys}
    _chosen.clear()
    problems = []
    for name, keys in wanted.items():
        if name in rows:  # another version's actions are passed over
            problem = wrong(rows[name], keys, rows.values())
            if problem:
                problems.append(f"{rows[name].description}: {problem}")
            else:
                _chosen[name] = parse(keys)
    return problems


def parse(keys: str) -> tuple[str, ...]:
    """Textual's names of keys that are written as people read them. Raises ValueError with what is wrong."""
    found = tuple(_one(word) for word in keys.split())
    if not found:
        raise ValueError("a key is missing")
    return found


def _one(word: str) -> str:
    *modifiers, last = word.lower().split("+") if len(word) > 1 else [word]
    wanted = [modifier for modifier in MODIFIERS if modifier in modifiers]
    name = named_key(last)
    if not name or len(wanted) != len(modifiers):
        raise ValueError(f"{word!r} is no key; they are written Ctrl+E, Alt+1, F11 or x")
    if "alt" in wanted and len(name) > 1:
        raise ValueError(f"{word!r}: most terminals send Alt with a letter or a digit alone")
    return "+".join([*wanted, name])


def wrong(action: Action, keys: str, table: Iterable[Action]) -> str:
    """Why an action can't have these keys, "" if it can."""
    try:
        wanted = parse(keys)
    except ValueError as problem:
        return str(problem)
    for key in wanted:
        if len(key) == 1 and action.scope in TYPING:
            return f"{key_text(key)} is typed there; take it with Ctrl or Alt"
        for other in table:
            if name_of(other) != name_of(action) and _meet(action.scope, other.scope) and key in present(other).keys:
                return f"{key_text(key)} is taken: {other.description or other.label}"
    return ""


def _meet(one: Scope, other: Scope) -> bool:
    return one == other or "app" in (one, other) or any({one, other} <= places for places in TOGETHER)

"""Chat templates as data: how turns become the text a model continues. Which one fits a model: see `recognition`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sg_core.errors import SettingError
from sg_core.files import read_bytes, shown
from sg_core.text.marked_text import MarkedText, Part

FILE = "templates.toml"  # a person's own, in the folder of settings
LARGEST_FILE = 1 << 20
OWN = "own"  # the model's chat_template


@dataclass(frozen=True, slots=True)
class Template:
    """A text is `begin`, then each turn between two strings; the model writes after `model[0]`.

    {person}, {model} and {end} in them stand for the two names and the model's end token. stop: texts at which the
    model's turn is over, besides its end tokens. whole: what belongs around every text (a first token) is put before.
    """

    name: str
    person: tuple[str, str]
    model: tuple[str, str]
    begin: str = ""
    stop: tuple[str, ...] = ()
    whole: bool = True

    def named(self, person: str, model: str) -> Template:
        """With the names of those who speak."""
        return self.filled({"{person}": person, "{model}": model})

    @property
    def has_names(self) -> bool:
        """Whether names can be chosen."""
        return any("{person}" in text or "{model}" in text for text in (self.begin, *self.person, *self.model))

    def filled(self, values: dict[str, str]) -> Template:
        """With texts in the place of placeholders."""

        def fill(text: str) -> str:
            for key, value in values.items():
                text = text.replace(key, value)
            return text

        before, after = (fill(text) for text in self.person)
        first, last = (fill(text) for text in self.model)
        stop = tuple(text for text in map(fill, self.stop) if text)
        return replace(self, person=(before, after), model=(first, last), begin=fill(self.begin), stop=stop)

    def cues(self, text: str, typed: str) -> tuple[str, str]:
        """What stands before and after the words of a person, put on the text so far, until the model writes.

        Without words (after them: "") the model has another turn.
        """
        begin = self.begin if not text else _missing(text, self.model[1])
        if not typed:
            return begin + self.model[0], ""
        return begin + self.person[0], self.person[1] + self.model[0]


PLAY = Template("play", ("{person}:\n", "\n\n"), ("{model}:\n", "\n\n"), stop=("\n\n", "\n{person}:"))
QUESTION = Template("question", ("Question: ", "\n"), ("Answer:", "\n\n"), stop=("\n\n", "\nQuestion:"))
TURNS = Template("turns", ("", "{end}"), ("", "{end}"), stop=("{end}",))  # DialoGPT
CHATML = Template(
    "chatml", ("<|im_start|>user\n", "<|im_end|>\n"), ("<|im_start|>assistant\n", "<|im_end|>\n"), stop=("<|im_end|>",)
)
INSTRUCTION = Template(
    "instruction",
    ("### Instruction:\n", "\n\n"),
    ("### Response:\n", "{end}\n\n"),
    stop=("{end}", "\n### Instruction:"),
)
USER = Template("user", ("User: ", "\n"), ("Assistant:", "\n"), stop=("{end}", "\nUser:"))
BUILT_IN = (PLAY, QUESTION, TURNS, CHATML, INSTRUCTION, USER)


def choose(templates: Iterable[Template], name: str) -> Template:
    """The template of a name, "" for the first one. Raises SettingError."""
    known = list(templates)
    for template in known:
        if name in ("", template.name):
            return template
    raise SettingError(f"template is {name!r}; choose from {', '.join(template.name for template in known)}")


def read_own(folder: Path) -> list[Template]:
    """A person's own, from templates.toml in a folder; a table for each. Raises SettingError, naming what is wrong.

    [name] with person = ["before", "after"], model = ["before", "after"], begin = "" and stop = ["..."].
    """
    path = folder / FILE
    if not path.exists():
        return []
    try:
        content = tomllib.loads(read_bytes(path, LARGEST_FILE, SettingError).decode("utf-8"))
    except ValueError as problem:
        if isinstance(problem, SettingError):
            raise
        raise SettingError(f"{shown(path)} can't be used: {shown(problem)[:200]}") from problem
    return [_own(f"{shown(path)}: {shown(name)[:40]}", name, entry) for name, entry in content.items()]


def _own(where: str, name: str, entry: Any) -> Template:
    match entry:
        case {"person": [str(before), str(after)], "model": [str(first), str(last)]}:
            begin, stop = entry.get("begin", ""), entry.get("stop", [])
            if isinstance(begin, str) and isinstance(stop, list) and all(isinstance(text, str) for text in stop):
                return Template(name, (before, after), (first, last), begin, tuple(stop))
    raise SettingError(
        f'{where} needs person = ["before", "after"], model = ["before", "after"] and may have begin, stop = [""]'
    )


def _missing(text: str, after: str) -> str:
    """What `text`, which may already end with a part of `after`, lacks of it."""
    for length in range(min(len(after), len(text)), 0, -1):
        if text.endswith(after[:length]):
            return after[length:]
    return after


class Conversation:
    """Turns one after another, and the prompt they make."""

    def __init__(self, template: Template) -> None:
        """template: its names filled in."""
        self._template = template
        self._parts: list[Part] = []

    @property
    def text(self) -> str:
        """All of it, cues too."""
        return "".join(part for part, _ in self._parts)

    @property
    def prompt(self) -> MarkedText:
        """What the model continues; in the cues alone special tokens are ids."""
        return MarkedText(self._parts, self._template.whole)

    def say(self, typed: str) -> None:
        """A person's turn, and the beginning of the model's; without words the model has another turn."""
        before, after = self._template.cues(self.text, typed)
        self._parts += [(before, True), (typed, False), (after, True)]

    def answer(self, text: str) -> None:
        """What the model said."""
        self._parts.append((text, False))

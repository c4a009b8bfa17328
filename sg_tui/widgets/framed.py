"""A widget whose frame says something, and is drawn again only when it says something else."""

from __future__ import annotations

from typing import Any

from textual.content import Content
from textual.widget import Widget


class _Words:
    """As Textual's own words of a frame, which paint the whole widget anew whenever they are set, also to the same."""

    def __init__(self, textual: Any) -> None:
        self._textual = textual

    def __set_name__(self, owner: type[Widget], name: str) -> None:
        self._kept = f"_words_of_{name}"

    def __set__(self, widget: Widget, words: str | Content | None) -> None:
        if not _same(words, getattr(widget, self._kept, None)):
            setattr(widget, self._kept, words)
            self._textual.__set__(widget, words)

    def __get__(self, widget: Widget | None, kind: type[Widget] | None = None) -> Any:
        return self if widget is None else self._textual.__get__(widget, kind)


def _same(one: str | Content | None, other: str | Content | None) -> bool:
    if isinstance(one, Content) and isinstance(other, Content):
        return one.is_same(other)
    return type(one) is type(other) and one == other


class Framed:
    """For widgets whose titles are told again and again while text streams."""

    border_title = _Words(vars(Widget)["border_title"])
    border_subtitle = _Words(vars(Widget)["border_subtitle"])

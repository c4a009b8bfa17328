"""What the library shows: texts, runs and models in one list, narrowed by kind and by words. Plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "run", "model"]
Section = Literal["all", "texts", "runs", "models", "deleted"]
SECTIONS: tuple[Section, ...] = ("all", "texts", "runs", "models", "deleted")
_KINDS: dict[Section, Kind] = {"texts": "text", "runs": "run", "models": "model"}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in the library.

    id: of a text, or the name a model is loaded by; title, note: any text; when: seconds since 1970, 0 if that says
    nothing; folder: of a run or a model; fixed: a part of the program, which can't be deleted; model, mode: of a text.
    """

    kind: Kind
    id: str
    title: str
    note: str
    when: float = 0.0
    deleted: bool = False
    folder: str = ""
    fixed: bool = False
    model: str = ""
    mode: str = ""


class Shelf:
    """`listed` is what the person sees, in order."""

    def __init__(self) -> None:
        self.section: Section = "all"
        self.words = ""
        self.found: Mapping[str, str] = {}  # id of each text that holds the words -> the words around the place
        self.listed: list[Item] = []
        self._items: list[Item] = []

    def put(self, kinds: Iterable[Kind], items: Iterable[Item]) -> None:
        """Take the items of these kinds anew."""
        gone = set(kinds)
        kept = [item for item in self._items if item.kind not in gone]
        self._items = sorted([*kept, *items], key=lambda item: -item.when)
        self.narrow()

    def narrow(self) -> None:
        """List what belongs to the section and to the words: texts that hold them best first, then by name."""
        ranks = {id: rank for rank, id in enumerate(self.found)}
        here = [item for item in self._items if self._belongs(item, self.section) and self._matches(item)]
        self.listed = sorted(here, key=lambda item: ranks.get(item.id, len(ranks))) if self.words.split() else here

    def count(self, section: Section) -> int:
        """How many of a section the words leave."""
        return sum(self._belongs(item, section) and self._matches(item) for item in self._items)

    def turn(self, by: int) -> None:
        """Go to the section before or after."""
        self.section = SECTIONS[(SECTIONS.index(self.section) + by) % len(SECTIONS)]
        self.narrow()

    @property
    def nothing(self) -> str:
        """What is said where the list is empty, "" where it is not."""
        if self.listed:
            return ""
        if self.words.split():
            return "Nothing found: every word must stand in a text, or in the name of a run or a model."
        return {
            "all": "Nothing here yet.",
            "texts": "No texts yet: what you write is kept here by itself. F2 writes.",
            "runs": "No runs yet: F3 trains a model, which is then listed here.",
            "models": "No models.",
            "deleted": "Nothing was deleted. What is deleted can be brought back from here for 30 days.",
        }[self.section]

    @staticmethod
    def _belongs(item: Item, section: Section) -> bool:
        if section == "deleted" or item.deleted:
            return section == "deleted" and item.deleted
        return section == "all" or item.kind == _KINDS[section]

    def _matches(self, item: Item) -> bool:
        if item.kind == "text" and item.id in self.found:
            return True
        name = f"{item.title} {item.note}".casefold()
        return all(word in name for word in self.words.casefold().split())

"""What the library has not taken yet: held until it is written, so that a store that fails loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sg_tui.library.store import Place, Store
from sg_tui.library.tree_table import Growth
from sg_tui.state.manuscript import Manuscript
from sg_tui.state.tree import Place as Head
from sg_tui.state.tree import Tree


@dataclass(frozen=True, slots=True)
class TextNews:
    """What is new of a text. tree: all of it, a copy for the librarian alone, when another text was handed before."""

    id: str
    news: Sequence[Growth]
    head: Head
    model: str
    mode: str
    tree: Tree | None = None


class _Text:
    """A text on its way: all of it, and what of it the library does not have."""

    def __init__(self, first: TextNews, tree: Tree) -> None:
        self._tree = tree
        self._last = first
        self._news: list[Growth] = list(first.news)
        self.due = True
        self.whole = False  # nothing of it is where texts are kept now
        self.new = True  # never written by this session

    def grow(self, item: TextNews) -> None:
        self._last, self.due = item, True
        self._news += item.news
        for one in item.news:
            known = self._tree.nodes.get(one.node.id)
            if known is None:
                self._tree.add(one.node)
            else:
                self._tree.rewrite(known, one.node.place, known.pieces)
                known.model = one.node.model
                known.marked, known.folded, known.removed = one.node.marked, one.node.folded, one.node.removed
                known.pieces[one.start :] = one.pieces

    def write(self, store: Store) -> None:
        """Raises sqlite3.Error."""
        last, manuscript = self._last, Manuscript(tree=self._tree, head=self._last.head)
        if self.whole:
            store.save_text(last.id, manuscript, last.model, last.mode)
        else:
            store.grow_text(last.id, manuscript, self._news, last.model, last.mode)
        self._news, self.due, self.whole, self.new = [], False, False, False


class Unkept:
    """Texts and the place of one session, written to a store as far as they are news to it."""

    def __init__(self, session: str) -> None:
        self._session = session
        self._texts: dict[str, _Text] = {}
        self._place = Place()
        self._kept_place = Place()
        self._moves = 0  # of the store, at the last writing

    def take(self, item: TextNews | Place) -> None:
        """Hold it until it is written."""
        if isinstance(item, Place):
            self._place = item
        elif item.tree is not None:
            waiting = self._texts.pop(item.id, None)
            self._texts[item.id] = _Text(item, item.tree)
            self._texts[item.id].whole = waiting is not None and waiting.due
        else:
            self._texts[item.id].grow(item)

    @property
    def due(self) -> bool:
        """Whether something waits to be written."""
        return self._place != self._kept_place or any(text.due for text in self._texts.values())

    @property
    def holds_text(self) -> bool:
        """Whether there is anything that must not be lost."""
        return bool(self._texts) or self._place != Place()

    def write(self, store: Store) -> None:
        """Write all that waits; where the store has moved to another file, all that is held. Raises sqlite3.Error."""
        moves = store.moves
        moved, self._moves = moves != self._moves, moves
        for text in self._texts.values():
            if moved or (store.aside and text.new):
                text.whole = text.due = True
            if text.due:
                text.write(store)
        if moved or self._place != self._kept_place:
            if self._place == Place():
                store.forget_place(self._session)
            else:
                store.keep_place(self._session, self._place)
            self._kept_place = self._place
        if store.path is not None:  # the last one goes on growing, the others are done
            for id in list(self._texts)[:-1]:
                del self._texts[id]

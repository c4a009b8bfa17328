"""What the library has not taken yet: held until it is written, so that a store that fails loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sg_tui.library.store import Place, Store
from sg_tui.state.manuscript import Manuscript, Piece


@dataclass(frozen=True, slots=True)
class WholeText:
    """A text as it is now."""

    id: str
    manuscript: Manuscript  # a copy, of which nobody else knows
    model: str
    mode: str


@dataclass(frozen=True, slots=True)
class MoreText:
    """What the model added to the last turn of a text that was handed over before."""

    id: str
    pieces: Sequence[Piece]


class _Text:
    """A text on its way. `kept`: pieces of the last turn that the store has; None when it needs the whole."""

    def __init__(self, whole: WholeText) -> None:
        self.whole = whole
        self.kept: int | None = None

    def write(self, store: Store) -> None:
        """Raises sqlite3.Error."""
        whole, count = self.whole, self._count
        if self.kept is None:
            store.save_text(whole.id, whole.manuscript, whole.model, whole.mode)
        elif self.kept < count:
            store.add_text(whole.id, whole.manuscript, self.kept)
        self.kept = count

    @property
    def _count(self) -> int:
        turns = self.whole.manuscript.turns
        return len(turns[-1].written) if turns else 0

    @property
    def due(self) -> bool:
        return self.kept != self._count


class Unkept:
    """Texts and the place of one session, written to a store as far as they are news to it."""

    def __init__(self, session: str) -> None:
        self._session = session
        self._texts: dict[str, _Text] = {}
        self._place = Place()
        self._kept_place = Place()
        self._moves = 0  # of the store, at the last writing

    def take(self, item: WholeText | MoreText | Place) -> None:
        """Hold it until it is written."""
        match item:
            case WholeText(id=id):
                self._texts[id] = _Text(item)
            case MoreText(id=id, pieces=pieces):
                for piece in pieces:
                    self._texts[id].whole.manuscript.add(piece)
            case Place():
                self._place = item

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
            if moved:
                text.kept = None
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

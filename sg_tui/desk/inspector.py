"""Asks the engine what goes on inside the token that is chosen, or the newest one, and changes what the model does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sg_core.engine.commands import Command, CompareLoss, Look, MeasureHeads, SetInterventions, SetProbes
from sg_core.engine.events import Event, Failed, Looked
from sg_core.text.marked_text import MarkedText
from sg_tui.state.inside_state import LOOK_COMMANDS, InsideState
from sg_tui.state.manuscript import Piece
from sg_tui.state.writing import Writing

REMEASURED = 64  # tokens after which heads are measured again while a text is written


class Inspector:
    """`look` may be called as often as something may have changed: the engine is asked only where it has."""

    def __init__(self, submit: Callable[[Command], None], next_request: Callable[[], int]) -> None:
        self.state = InsideState()
        self._submit, self._next_request = submit, next_request
        self._asked: tuple[object, ...] = ()  # what the newest look was asked of
        self._measured: tuple[object, ...] = ()  # and the newest measurement
        self._compared: tuple[object, ...] = ()
        self._probes = SetProbes(newest=False)  # as the engine was told last
        self._awaited = (0, 0)  # the newest look: its request, and the piece it is about
        self._text = ""  # the id of the text that is looked into
        self._place: int | None = None  # the piece of it that was chosen last
        self._chosen: int | None = None  # as given at the newest look
        self._out_of_sight: int | None = None  # a chosen piece that the model does not see while it writes
        self._running = False

    def take(self, event: Event, pieces: Sequence[Piece]) -> bool:
        """Take what the engine tells; False when nothing changed."""
        if isinstance(event, Failed) and event.command == "Look" and self._running:
            self._out_of_sight = self._chosen
        if not isinstance(event, Looked):
            return self.state.take(event)
        if event.live and pieces:
            self.state.show(event, len(pieces) - 1)
        elif event.request == self._awaited[0]:
            self.state.show(event, self._awaited[1])
        return True

    def show(self, shown: bool) -> None:
        """Someone begins to look, or ends."""
        self.state.shown = shown
        self.state.version += 1
        self._asked = ()
        self._follow(False)

    def look(self, writing: Writing, index: int | None, running: bool, precision: str) -> None:
        """Ask for the inside of the token that piece `index` is, None for the newest one.

        While the model writes it is the newest one, too, where it does not see the other: that is asked for at the end.
        """
        state, pieces = self.state, writing.manuscript.pieces
        if not state.shown:
            return
        if writing.id != self._text:
            self._text = writing.id
            state.leave()
        self._chosen, self._running = index, running
        if self._out_of_sight is not None and (not running or index != self._out_of_sight):
            self._out_of_sight, self._asked = None, ()
        state.elsewhere = self._out_of_sight is not None
        newest = index is None or state.elsewhere
        self._follow(newest and running)
        place = _worded(pieces, len(pieces) - 1 if newest or index is None else index)
        if place is None:
            return
        if place != self._place:
            self._place, state.back = place, 0
        setting = (writing.id, precision, state.scales)
        asked = (pieces[place], place, state.rival, state.back, *setting)
        if not self.state.following and asked != self._asked:
            self._asked = asked
            self._awaited = (self._next_request(), place)
            self._submit(Look(self._awaited[0], *_asked_text(writing, place), state.rival, state.back))
        measured = (len(pieces) // REMEASURED if running else (len(pieces), running), *setting)
        if measured != self._measured:
            self._measured = measured
            self._submit(MeasureHeads(self._next_request(), *_asked_text(writing, place)))
        if state.scales and measured != self._compared:
            self._compared = measured
            self._submit(CompareLoss(self._next_request(), writing.prompt()))

    def _follow(self, newest: bool) -> None:
        wanted = SetProbes(newest, newest and self.state.why)
        if wanted != self._probes:
            self._probes, self.state.following = wanted, newest
            self._submit(wanted)

    def scale(self, factor: float) -> None:
        """The chosen part times `factor`, from the next token on."""
        if self.state.shape[0]:
            self._submit(SetInterventions(self.state.scaled(factor)))

    def restore(self) -> None:
        """Nothing is changed any more."""
        self.state.wished = ()
        self.state.version += 1
        self._submit(SetInterventions(()))

    def concerns(self, failure: Failed) -> bool:
        """Whether a failure is told beside the text, not in a message over it."""
        return failure.command in LOOK_COMMANDS


def _worded(pieces: Sequence[Piece], index: int) -> int | None:
    """The piece itself, or, where it is nothing, the nearest one before it that has a text or a token; None without."""
    candidates = range(min(index, len(pieces) - 1), -1, -1)
    return next((place for place in candidates if pieces[place].token or pieces[place].text), None)


def _asked_text(writing: Writing, index: int) -> tuple[MarkedText, tuple[int, ...]]:
    """The text before a token, as the engine takes it, and the token's id; of another piece the text with it."""
    token = writing.manuscript.pieces[index].token
    return (writing.prompt(index + 1), ()) if token is None else (writing.prompt(index), (token.id,))

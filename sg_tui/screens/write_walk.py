"""The two states of the Write view: *edit*, where every character is text, and *walk*, where a token is chosen."""

from __future__ import annotations

import time

from textual import events, on
from textual.geometry import Size
from textual.widget import Widget

from sg_core.engine.events import Done, Event, Failed, TokenEvent
from sg_tui.screens.write_texts import TextActions
from sg_tui.state.tree import Node
from sg_tui.widgets.alternatives_box import AlternativesBox, choices
from sg_tui.widgets.prompt import Prompt
from sg_tui.widgets.text_view import TextView

REST_SECONDS = 1.2  # an Esc so soon after the model's last word was meant to stop it
AGAIN_SECONDS = 0.5  # and so are those that follow it in haste
PART_OF_A_CHARACTER = "\N{REPLACEMENT CHARACTER}"


class WalkActions(TextActions):
    """Esc at rest or a click enters walk, with a token chosen; whatever is no key there goes back to edit."""

    _no_walk_before = 0.0  # on the monotonic clock

    def on_mount(self) -> None:
        self.query_one(TextView).elsewhere = self._typed

    def handle(self, event: Event) -> None:
        super().handle(event)
        if isinstance(event, TokenEvent | Done | Failed):
            self._no_walk_before = time.monotonic() + REST_SECONDS

    @property
    def focus_chain(self) -> list[Widget]:
        """Tab never leads into the text."""
        return [widget for widget in super().focus_chain if widget is self.focused or not isinstance(widget, TextView)]

    @property
    def walking(self) -> bool:
        """Whether keys act on the chosen token."""
        return isinstance(self.focused, TextView)

    def walk(self) -> None:
        """Choose a token, unless the model has only just stopped: the person wanted to stop it then."""
        now = time.monotonic()
        if now < self._no_walk_before:
            self._no_walk_before = now + AGAIN_SECONDS
            self.desk.say("It had ended by itself. Esc, at rest, walks through the text.")
            return
        self.app.clear_notifications()
        self.set_focus(self.query_one(TextView))

    def edit(self) -> None:
        """Characters are text again."""
        self.query_one(TextView).move_cursor(None)
        self.set_focus(self.query_one(Prompt))

    def _typed(self, event: events.Key | events.Paste) -> None:
        """What was typed or pasted in the text is text, from its first character on."""
        prompt = self.query_one(Prompt)
        if self.walking:
            self.edit()
        prompt._forward_event(event)

    # ------------------------------------------------------------ other tokens at a place

    @on(TextView.CursorMoved)
    def _cursor_moved(self) -> None:
        self.offer_alternatives()
        self.draw()

    def offer_alternatives(self) -> None:
        """What could stand in the place of the chosen token."""
        view, box, manuscript = self.query_one(TextView), self.query_one(AlternativesBox), self.desk.writing.manuscript
        piece = view.cursor_piece if view.cursor is not None else None
        written: set[int] = set()
        branches = 1
        if piece is not None and view.cursor is not None:
            place = manuscript.place(view.cursor)
            begun = [node for node in manuscript.tree.standing(place.node) if node.at == place.length]
            written = {first.id for node in begun if node.pieces and (first := node.pieces[0].token)}
            branches = max(1, len(begun) + (place.length < manuscript.tree.length(place.node)))
        author = piece.author if piece is not None else None
        box.offer(view.cursor, choices(piece, frozenset(written)), author, branches)

    def show_alternatives(self) -> None:
        """The box stands beside the chosen token, wherever that is now."""
        view, box = self.query_one(TextView), self.query_one(AlternativesBox)
        token = view.cursor_offset if self.walking and not self.has_class("-too-small") else None
        screen = self.size
        if self.desk.minute.step is not None:  # which speaks below the text: none of it is covered
            screen = Size(screen.width, view.region.bottom + 1)
        box.show(token, screen, view.region.bottom)

    def action_choose(self, by: int) -> None:
        self.offer_alternatives()  # the news that the cursor has moved may still be on its way
        self.query_one(AlternativesBox).step(by)
        self.show_alternatives()

    def action_take(self) -> None:
        self.offer_alternatives()
        view, choice = self.query_one(TextView), self.query_one(AlternativesBox).choice
        if choice is None or choice.here or choice.number is None or view.cursor is None:
            self.edit()
        elif PART_OF_A_CHARACTER in choice.text:
            self.desk.say("This is a part of a character, which can't stand alone.")
        else:
            index, number = view.cursor, choice.number
            self.when_stopped(lambda: self._take(index, number))

    def _take(self, index: int, number: int) -> None:
        manuscript = self.desk.writing.manuscript
        if index >= len(manuscript.pieces):
            return  # it was taken back meanwhile
        if manuscript.take(index, number):
            self.go_on()
        self.show_text()
        self.query_one(TextView).move_cursor(index)

    def action_branch(self, by: int) -> None:
        view = self.query_one(TextView)
        if view.cursor is not None:
            index = view.cursor
            self.when_stopped(lambda: self._branch(index, by))

    def _branch(self, index: int, by: int) -> None:
        manuscript = self.desk.writing.manuscript
        ways = manuscript.branches(index)
        if len(ways) < 2:
            self.desk.say("Nothing else was written at this place yet.")
            return
        nodes = {node.id for node, _ in manuscript.way}
        here = max(range(len(ways)), key=lambda one: _shared(manuscript.tree.way(ways[one]), nodes))
        manuscript.go(ways[(here + by) % len(ways)])
        self.show_text()
        self.query_one(TextView).move_cursor(index)

    # ------------------------------------------------------------ what the view does

    def go_on(self) -> None:
        """Let the model go on with the text."""
        raise NotImplementedError

    def show_text(self) -> None:
        """The text is another one now."""
        raise NotImplementedError

    @on(Prompt.Scrolled)
    def _scrolled(self, event: Prompt.Scrolled) -> None:
        view = self.query_one(TextView)
        match event.by:
            case -1:
                view.scroll_page_up(animate=False)
            case 1:
                view.scroll_page_down(animate=False)
            case by if by < 0:
                view.scroll_home(animate=False)
            case _:
                view.follow()


def _shared(way: list[tuple[Node, int]], nodes: set[int]) -> int:
    """How many of these nodes a way goes through."""
    return sum(node.id in nodes for node, _ in way)

"""Where the person types: several lines, a history, and no paste that could freeze or harm the screen."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from sg_tui.keys import actions, bindings
from sg_tui.terminal.textsafe import safe
from sg_tui.widgets.framed import Framed

LONGEST_PASTE = 20_000  # characters: wrapping more on every key would be felt
ARROWS = ("up", "down")  # move within the text first
KEPT = 200  # prompts in the history


class Prompt(Framed, TextArea):
    """Enter sends, Ctrl+J begins a new line, ↑ ↓ at the edges bring earlier prompts back."""

    BINDINGS = bindings("prompt")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    class Sent(Message):
        """Enter was pressed."""

        def __init__(self, text: str) -> None:
            self.text = text
            super().__init__()

    class Shortened(Message):
        """A paste was longer than what is taken."""

        def __init__(self, length: int) -> None:
            self.length = length
            super().__init__()

    class Passed(Message):
        """An action found nothing to do in the prompt: it is meant for the text above."""

        def __init__(self, action: str) -> None:
            self.action = action
            super().__init__()

    class Scrolled(Message):
        """The text above is to be scrolled: by pages, or to its beginning or end."""

        def __init__(self, by: int) -> None:
            self.by = by
            super().__init__()

    def __init__(self, id: str | None = None) -> None:
        super().__init__(
            id=id,
            soft_wrap=True,
            show_line_numbers=False,
            tab_behavior="focus",
            compact=True,
            highlight_cursor_line=False,
        )
        self.cursor_blink = False  # drawing it twice a second would be most of what a resting app costs
        self._history: list[str] = []
        self._shown: int | None = None  # index in the history of what is shown
        self._draft = ""

    def put(self, text: str) -> None:
        """Show this text, the cursor behind it."""
        self.load_text(safe(text))
        self.move_cursor(self.document.end)

    def remember(self, text: str) -> None:
        """Add to the history."""
        if text.strip() and (not self._history or self._history[-1] != text):
            self._history.append(text)
            del self._history[:-KEPT]
        self._shown = None

    # ------------------------------------------------------------ keys

    async def on_key(self, event: events.Key) -> None:
        """Keys of this table that belong between two characters, in the order in which they were typed.

        As bindings they would overtake characters that still wait to be inserted.
        """
        here = {key: action.id for action in actions("prompt") for key in action.keys if key not in ARROWS}
        action = here.get(event.key)
        if action is not None:
            event.prevent_default()
            event.stop()
            await self.run_action(action)
        elif event.key.startswith("alt+") and event.is_printable:
            event.prevent_default()  # a chord, not a character

    def action_send(self) -> None:
        text = self.text
        self.remember(text)
        self.put("")  # here, not when the message arrives: what is typed in between is the next prompt
        self.post_message(self.Sent(text))

    def action_newline(self) -> None:
        self.insert("\n")

    def action_older(self) -> None:
        first = self.navigator.is_first_wrapped_line(self.cursor_location)
        if not first or not self._history or self._shown == 0:
            self.action_cursor_up()
            return
        if self._shown is None:
            self._draft, self._shown = self.text, len(self._history)
        self._shown -= 1
        self.put(self._history[self._shown])

    def action_newer(self) -> None:
        if not self.navigator.is_last_wrapped_line(self.cursor_location) or self._shown is None:
            self.action_cursor_down()
            return
        self._shown += 1
        if self._shown < len(self._history):
            self.put(self._history[self._shown])
        else:
            self._shown = None
            self.put(self._draft)

    def action_scroll(self, by: int) -> None:
        self.post_message(self.Scrolled(by))

    def action_edge(self, by: int) -> None:
        if not self.text:
            self.post_message(self.Scrolled(by))
        elif by < 0:
            self.action_cursor_line_start()
        else:
            self.action_cursor_line_end()

    def action_undo(self) -> None:
        if self.history.undo_stack:
            super().action_undo()
        else:
            self.post_message(self.Passed("undo"))

    def action_redo(self) -> None:
        if self.history.redo_stack:
            super().action_redo()
        else:
            self.post_message(self.Passed("redo"))

    # ------------------------------------------------------------ pasting

    def on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        text = event.text
        if len(text) > LONGEST_PASTE:
            self.post_message(self.Shortened(len(text)))
            text = text[:LONGEST_PASTE]
        text = safe(text.replace("\r\n", "\n").replace("\r", "\n"))
        start, end = self.selection
        result = self.replace(text, start, end, maintain_selection_offset=False)
        self.move_cursor(result.end_location)

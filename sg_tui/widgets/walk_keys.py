"""What keys do while the text is walked through. What is typed or pasted never acts: it goes back to the prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import events
from textual.timer import Timer
from textual.widget import Widget

BURST_SECONDS = 0.04  # characters that come closer to each other than fingers do are a text, not keys


if TYPE_CHECKING:
    _Widget = Widget
else:
    _Widget = object  # Textual takes styles and bindings from one line of ancestors alone


def _nobody(event: events.Key | events.Paste) -> None:
    """Nobody types."""


class WalkKeys(_Widget):
    """A view in which characters are keys. `elsewhere` takes back what turns out to be a text, at once.

    Each key is decided on at the moment it arrives, before the next one is sent anywhere: so a text that is typed or
    pasted in one burst reaches the prompt whole and in its order. A character that is a key waits for BURST_SECONDS:
    when another one comes, both are a text.
    """

    elsewhere: Callable[[events.Key | events.Paste], None] = staticmethod(_nobody)
    _held: events.Key | None = None
    _held_until: Timer | None = None

    def _forward_event(self, event: events.Event) -> None:
        # Textual's own door for input: anything later would see keys that had been sent here in the meantime
        if isinstance(event, events.Paste):
            self._let_go()
            self.elsewhere(event)
        elif not isinstance(event, events.Key) or not self._keep_back(event):
            super()._forward_event(event)

    def _keep_back(self, key: events.Key) -> bool:
        """Whether the key does not act, or not yet."""
        text = key.key == "enter" or (key.is_printable and "+" not in key.key)
        if not text:
            self._let_go()
            return False
        if self._held is not None:
            held = self._take_held()
            self.elsewhere(held)
            self.elsewhere(key)
            return True
        if key.key not in self.screen.active_bindings:
            self.elsewhere(key)
            return True
        if BURST_SECONDS > 0:
            self._held = key
            self._held_until = self.set_timer(BURST_SECONDS, self._let_go)
            return True
        return False

    def _let_go(self) -> None:
        """Nothing followed in time: what was held is a key."""
        if self._held is not None:
            super()._forward_event(self._take_held())

    def _take_held(self) -> events.Key:
        held, timer = self._held, self._held_until
        assert held is not None
        self._held = self._held_until = None
        if timer is not None:
            timer.stop()
        return held

    # ------------------------------------------------------------ what the view does for itself alone is asked for here

    async def action_flip(self, name: str) -> None:
        await self.screen.run_action(f"flip({name!r})")

    async def action_choose(self, by: int) -> None:
        await self.screen.run_action(f"choose({by})")

    async def action_take(self) -> None:
        await self.screen.run_action("take")

    async def action_branch(self, by: int) -> None:
        await self.screen.run_action(f"branch({by})")

    async def action_several(self) -> None:
        await self.screen.run_action("several")

    async def action_tree(self) -> None:
        await self.screen.run_action("tree")

    async def action_edit_text(self) -> None:
        await self.screen.run_action("edit_text")

    async def action_mark(self) -> None:
        await self.screen.run_action("mark")

    async def action_inside(self) -> None:
        await self.screen.run_action("inside")

    async def action_to_prompt(self) -> None:
        await self.screen.run_action("stop")

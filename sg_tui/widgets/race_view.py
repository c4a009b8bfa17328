"""A race: two settings side by side, a token of each in turn, and what it tells."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from sg_tui.figures import milliseconds
from sg_tui.state.race_state import RaceState, lead_words, same_words
from sg_tui.terminal.textsafe import safe, safe_line


class RaceView(Vertical):
    """`show` draws the state."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown = -1

    def compose(self) -> ComposeResult:
        with Horizontal(id="race-sides"):
            for side in ("left", "right"):
                with VerticalScroll(id=f"race-{side}", classes="race-side"):
                    yield Static(id=f"race-{side}-text", markup=False)
        yield Static(id="race-words", markup=False)

    def show(self, state: RaceState) -> None:
        """Draw both texts and the standings, if they have changed."""
        if state.version == self._shown or state.command is None:
            return
        self._shown = state.version
        standings = state.standings
        for side, name, setting in ((0, "left", state.command.left), (1, "right", state.command.right)):
            frame = self.query_one(f"#race-{name}")
            frame.border_title = Content(setting.words)
            told = f"{milliseconds(standings.ms(side))} ms/token" if standings.ms(side) else ""
            frame.border_subtitle = Content(f"{told}, {standings.statistic}" if told else "")
            self.query_one(f"#race-{name}-text", Static).update(_text(state, side))
            frame.scroll_end(animate=False)
        self.query_one("#race-words", Static).update(race_words(state))


def _text(state: RaceState, side: int) -> Content:
    """One side's text, the first token that differs marked."""
    text = state.texts[side]
    start, end = state.differing[side] if state.differing else (len(text), len(text))
    return Content.assemble(safe(text[:start]), (safe(text[start:end]), "bold underline $warning"), safe(text[end:]))


def race_words(state: RaceState) -> Content:
    """Speed-up with its spread, first differing token, largest difference of logits."""
    if state.failure:
        return Content.styled(f"! {safe_line(state.failure)}", "$error")
    command, standings = state.command, state.standings
    if command is None:
        return Content("")
    if not standings.laps:
        pair = f"{command.left.words} against {command.right.words}"
        return Content.styled(f"{safe_line(state.phase.name)}: {pair}", "$accent")
    running = f"token {len(standings.laps)} of {command.tokens}, Esc stops" if state.running else "r again, ← → another"
    rows = (
        Content.styled(lead_words(standings), "bold $foreground"),
        Content(same_words(standings)),
        Content.styled(running, "$accent" if state.running else "$faint"),
    )
    return Content("\n").join(rows)

"""The panel of what goes on inside: the map of heads, what the chosen one does and looks at, the lens, the price."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content

from sg_tui.figures import number
from sg_tui.state.inside_state import InsideState, part_name
from sg_tui.widgets.head_map import HeadMap
from sg_tui.widgets.lens_table import LensTable, quoted
from sg_tui.widgets.panel import Panel, lines

ROOMY = 43  # columns from which shares are named in words
STRONGEST = 4  # tokens that the chosen head looks at, told with their shares


WORDS = {
    "previous": "the token before",
    "first": "the first token",
    "itself": "the token itself",
    "repeats": "what followed it before",
}


class PartPanel(Panel):
    """What the chosen head or MLP measurably does, and where it looks from the chosen token."""

    TITLE = "chosen"

    def show(self, state: InsideState) -> None:
        width = self.content_size.width
        if width <= 0:
            return
        factor = state.factor(state.layer, state.head)
        changed = "" if factor == 1.0 else "  muted" if factor == 0.0 else f"  × {factor:g}"
        self.border_title = f"{part_name(state.layer, state.head)}{changed}"
        self.border_subtitle = price_text(state)
        rows = (
            [Content("adds to each token what it makes of it alone")] if state.head is None else head_rows(state, width)
        )
        self.set_content(lines([row.truncate(width, ellipsis=True) for row in rows]))


def head_rows(state: InsideState, width: int) -> list[Content]:
    """What a head does on this text, and what it looks at from the token."""
    rows = []
    if state.measured is not None and state.head is not None:
        heads = state.measured.heads
        shares = heads.shares[state.layer, state.head].tolist()
        names = ("prev.", "first", "itself", "repeats") if width >= ROOMY else tuple("pfsr")
        kind = heads.kind(state.layer, state.head)
        rows += [
            Content(f"looks at {WORDS[kind]}" if kind else "none of these is its habit:"),
            Content(" ".join(f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True))),
            Content.styled(f"means of {heads.positions} tokens, {heads.repeats} repeats", "$faint"),
        ]
    if state.looked is not None:
        found = [f"{quoted(text)} {share:.0%}" for text, share in state.strongest(STRONGEST)]
        said = f"from {quoted(state.looked.text)}: " + (", ".join(found) or "nothing in particular")
        rows.append(Content.styled(said, "$secondary"))
    return rows


def price_text(state: InsideState) -> str:
    """What looking costs, as measured."""
    if state.looked is None:
        return ""
    if state.looked.live:
        return f"looking costs {number(state.price, 2)} ms a token (mean)"
    return f"this look took {number(state.looked.ms, 3)} ms"


class InsidePanel(Vertical, can_focus=False):
    """Beneath each other, or, on a small screen, the map beside the rest."""

    def compose(self) -> ComposeResult:
        with Vertical(id="heads-and-chosen"):
            yield HeadMap(id="heads")
            yield PartPanel(id="chosen")
        yield LensTable(id="lens")

    def show(self, state: InsideState) -> None:
        """Show what is known."""
        self.query_one(HeadMap).show(state)
        self.query_one(PartPanel).show(state)
        self.query_one(LensTable).show(state)

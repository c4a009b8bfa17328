"""What each layer would say of the token, or why another did not come: rows beneath each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from sg_core.engine.events import Looked
from sg_tui.figures import bar
from sg_tui.state.inside_state import InsideState, part_name
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.panel import Panel, lines

if TYPE_CHECKING:
    from sg_core.inference.attribution import Attribution

WORD = 12  # columns of a token's text
ROOMY = 60  # columns from which the lead is marked in words
OUT_OF_SIGHT = "the newest; Esc, and it is the chosen one"


class LensTable(Panel):
    """The logit lens; with `w` the parts of the difference between the token and its rival, which sum to it."""

    TITLE = "lens"

    def show(self, state: InsideState) -> None:
        looked, width = state.looked, self.content_size.width
        if width <= 0:
            return
        if looked is None:
            self.set_content(
                Content.styled(safe_line(state.trouble, 200) or state.waiting or "choose a token", "$faint")
            )
            self.border_title, self.border_subtitle = "lens", ""
            return
        height, token = max(2, self.content_size.height), quoted(looked.text)
        if state.why and looked.inside.why is not None:
            self.border_title = f"why {token} and not {quoted(looked.rival_text)}?"
            self.border_subtitle = "scale of the last norm as it was"
            self.set_content(lines(why_rows(looked.inside.why, width, height)))
        else:
            lead = looked.inside.lens.lead
            self.border_title = f"lens: each layer's best · {token} came"
            told = "it is not the likeliest" if lead is None else "◂ here it takes the lead"
            self.border_subtitle = OUT_OF_SIGHT if state.elsewhere else told
            self.set_content(lines(lens_rows(looked, state.layer, width, height)))


def lens_rows(looked: Looked, layer: int, width: int, height: int) -> list[Content]:
    """A heading, and as many layers as there is room for, among them `layer`."""
    lens, token = looked.inside.lens, quoted(looked.text)
    lead = lens.lead
    rows = [Content.styled(f"{'':6}{'best':<{WORD}}{'p':>6} {_filled(token, 8)}{'no.':>5}", "$faint")]
    first = max(0, min(len(lens.rows) - (height - 1), layer + 1))
    for number, row in list(enumerate(lens.rows))[first : first + height - 1]:
        name = "embed" if number == 0 else f"{number - 1:>5}"
        won = row.rank == 1
        mark = "" if number != lead else " ◂ takes the lead" if width >= ROOMY else " ◂"
        rows.append(
            Content.assemble(
                (f"{name} ", "$faint"),
                (_filled(quoted(looked.best_texts[number]), WORD), "bold $foreground" if won else "$foreground"),
                (f"{row.p:>6.1%}", "$foreground"),
                (f"{row.token_p:>7.1%}", "$faint"),
                (f"{row.rank:>7,}", "bold $success" if won else "$foreground"),
                (mark, "bold $accent"),
            )
        )
    return rows


def why_rows(why: Attribution, width: int, height: int) -> list[Content]:
    """The difference, its largest parts, and the rest in one row: they sum to it."""
    parts = [("embedding", why.embedding), ("position", why.position), ("biases", why.biases)]
    for layer in range(len(why.mlps)):
        parts.append((part_name(layer, None), float(why.mlps[layer])))
        parts += [(part_name(layer, head), float(share)) for head, share in enumerate(why.heads[layer].tolist())]
    parts.sort(key=lambda part: -abs(part[1]))
    room = max(1, height - 2)
    shown, others = parts[:room], parts[room:]
    if others:
        shown, others = parts[: room - 1], parts[room - 1 :]
        shown.append((f"{len(others)} others", sum(share for _, share in others)))
    largest = max((abs(share) for _, share in shown), default=1.0) or 1.0
    rows = [
        Content.assemble(("difference of the logits ", "$faint"), (f"{signed(why.difference)} =", "bold $foreground"))
    ]
    for name, share in shown:
        drawn = bar(abs(share) / largest, max(0, width - 24))
        style = "$success" if share >= 0 else "$error"
        rows.append(Content.assemble((f"{name:<13}", "$foreground"), (f"{signed(share):>9} ", style), (drawn, style)))
    return rows


def signed(value: float) -> str:
    """With its sign, and as many decimals as an attribution has that can be read."""
    return f"{value:+.3f}".replace("-", "−")


def quoted(text: str) -> str:
    """A token's text on one harmless line, so that its blanks can be seen."""
    return f"“{safe_line(text, 20)}”"


def _filled(text: str, width: int) -> str:
    """Cut or filled with blanks to so many cells."""
    content = Content(text)
    if content.cell_length > width - 1:
        content = content.truncate(width - 1, ellipsis=True)
    return content.plain + " " * max(0, width - content.cell_length)

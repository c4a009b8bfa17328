"""The figures of a training run: a column of rows where there is room, else three lines."""

from __future__ import annotations

import math

from textual.content import Content

from sg_core.engine.events import Phase
from sg_tui.figures import duration, nats, number
from sg_tui.state.normal_run import normal_run
from sg_tui.state.training_run import Run
from sg_tui.state.training_state import TrainingState
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.loss_chart import NANOGPT, letter
from sg_tui.widgets.panel import Panel, lines, meter

EARLIER = 6  # runs listed
LABEL = 15  # cells of a label
SIGNS = {"running": "▶ training", "paused": "‖ paused", "stopping": "■ stopping", "starting": "… starting"}
ENDS = {"finished": "✓ finished", "stopped": "■ stopped", "failed": "✗ failed"}
QUIET_PHASES = ("training", "paused", "idle", "starting")


class RunPanel(Panel):
    """`show` draws the state; in a panel of fewer than six lines the figures stand side by side."""

    TITLE = "run"

    def show(self, state: TrainingState) -> None:
        """Draw the figures of the run."""
        width, height = self.content_size
        if width <= 0:
            return
        rows = _narrow(state, width) if height < 6 else _column(state, width)
        self.set_content(lines(rows))


def status_words(state: TrainingState) -> str:
    """What the run does now: a sign and a word, and the engine's phase where it is another."""
    if state.status == "none":
        return "no run yet"
    if state.status == "ended":
        return ENDS.get(state.ended.reason if state.ended else "", "■ ended")
    return SIGNS[state.status]


def phase_words(phase: Phase) -> str:
    """What the engine does for the run just now, with how far it is; empty while it just trains."""
    if phase.name in QUIET_PHASES:
        return ""
    progress = f" {phase.done:,}/{phase.total:,}" if phase.total else ""
    return " ".join(f"{safe_line(phase.name)} {safe_line(phase.detail)}".split()) + progress


def steps_words(run: Run) -> str:
    """How far it is: "120 of 2,000"."""
    return f"{run.step:,} of {run.facts.training.steps:,}"


def reference_words(run: Run) -> str:
    """The best loss a character beside nanoGPT's, for the text both are measured on; else empty."""
    if run.facts.data != "tinyshakespeare" or run.best is None:
        return ""
    return f"{NANOGPT} ({run.best.val_loss_per_char - NANOGPT:+.4f})"


# ---------------------------------------------------------------- a column


def _column(state: TrainingState, width: int) -> list[Content]:
    phase = phase_words(state.phase) if state.live else ""
    rows = [Content.assemble((f"{status_words(state)}  ", "bold $primary"), (phase, "$accent"))]
    if state.run is not None:
        rows += _figures(state, state.run, width)
    if state.failure:
        rows += [Content(""), *_failure(state)]
    if state.earlier:
        rows += [Content(""), Content.styled("earlier runs, and their average loss", "$faint")]
    for run in state.earlier[-EARLIER:]:
        words = f"{letter(run)}  {safe_line(run.name, width - 22)}, step {run.step:,}"
        rows.append(
            Content.assemble((f"{words:<{width - 8}}", "$faint"), (f"{nats(run.curve.average):>7}", "$foreground"))
        )
    return rows


def _figures(state: TrainingState, run: Run, width: int) -> list[Content]:
    share = run.step / run.facts.training.steps
    full, rest = meter(share, max(0, width - 6))
    rows = [
        Content.assemble((full, "$primary"), (rest, "$border"), (f"{share:>6.0%}", "$foreground")),
        _row("step", steps_words(run)),
        _row("trained", duration(state.seconds)),
        _row("left", duration(run.seconds_left) if state.live else "–"),
        Content(""),
    ]
    last = run.last
    rows += [
        _row("loss", nats(last.counted_loss) if last else "–", note="nats a token"),
        _row("  average", nats(run.curve.average), "bold $primary"),
        *_normal(run),
    ]
    newest = run.evaluations[-1] if run.evaluations else None
    if newest is not None:
        rows += [
            _row("validation ◆", nats(newest.val_loss), "bold $accent", "a token"),
            _row("", nats(newest.val_loss_per_char, 4), "bold $accent", "a character"),
        ]
    else:
        rows.append(
            _row(
                "validation ◆",
                "–",
                note=f"at step {run.facts.first_step + run.facts.training.evaluate_every:,}",
            )
        )
    if run.best is not None:
        rows.append(_row("  best", nats(run.best.val_loss), note=f"at step {run.best.step:,}"))
    if words := reference_words(run):
        rows.append(_row("  nanoGPT", words, "$secondary"))
    if run.curve.skipped:
        rows.append(_row("skipped ×", f"{run.curve.skipped:,}", "$error", "not finite"))
    if last is not None:
        rows += [
            Content(""),
            _row("learning rate", number(last.lr, 3)),
            _row("gradient norm", nats(last.grad_norm, 2)),
            _row("tokens/s", f"{last.tokens_per_second:,.0f}" if math.isfinite(last.tokens_per_second) else "–"),
        ]
    rows += [Content(""), _row("model", safe_line(run.model, 40)), _row("data", _data_words(run))]
    if run.saved is not None:
        rows.append(_row("saved", f"step {run.saved.step:,}"))
        rows.append(Content.styled(f"  {_shortened(run.saved.folder, width - 2)}", "$faint"))
    return rows


def _normal(run: Run) -> list[Content]:
    """Where the losses of the shipped run lay after as many tokens, and whether this run's latest ones do."""
    normal = normal_run(run)
    low, high = normal.at(run.step) if normal is not None else (math.nan, math.nan)
    if normal is None or math.isnan(low):
        return []
    return [_row("  normal ░", f"{low:.2f}–{high:.2f}", note=normal.verdict(run))]


def _row(label: str, value: str, style: str = "$foreground", note: str = "") -> Content:
    return Content.assemble((f"{label:<{LABEL}}", "$faint"), (value, style), (f"  {note}" if note else "", "$faint"))


def _data_words(run: Run) -> str:
    return f"{_shortened(run.facts.data, 22)}"


def _shortened(path: str, width: int) -> str:
    """The end of a path, which tells more than its beginning."""
    path = safe_line(path)
    return path if len(path) <= width else "…" + path[-max(1, width - 1) :]


# ---------------------------------------------------------------- three lines


def _narrow(state: TrainingState, width: int) -> list[Content]:
    run = state.run
    if run is None:
        status = Content.styled(status_words(state), "bold $primary")
        phase = Content.styled(phase_words(state.phase), "$accent")
        return [_fitting([status, phase], width), *_failure(state)]
    return [
        _progress(state, run, width),
        _fitting(_losses(run), width),
        *(_failure(state) or [_fitting(_paces(run), width)]),
    ]


def _progress(state: TrainingState, run: Run, width: int) -> Content:
    """Where the run is: words, most wanted first, and a bar in the room they leave."""
    share = run.step / run.facts.training.steps
    phase = phase_words(state.phase) if state.status == "starting" else ""
    groups = [
        Content.styled(status_words(state), "bold $primary"),
        Content.styled(f"step {steps_words(run)}", "$foreground"),
    ]
    if phase:
        groups.append(Content.styled(phase, "$accent"))
    groups.append(Content.styled(f"{share:.0%}", "$foreground"))
    if state.live:
        groups.append(Content.styled(f"{duration(run.seconds_left)} left", "$faint"))
    groups.append(Content.styled(f"{duration(state.seconds)} trained", "$faint"))
    row = _fitting(groups, width)
    full, rest = meter(share, max(0, min(24, width - row.cell_length - 2)))
    return Content.assemble(row, "  ", (full, "$primary"), (rest, "$border"))


def _failure(state: TrainingState) -> list[Content]:
    """Why the run does not go on, and the key that helps."""
    if not state.failure:
        return []
    keys = "F saves it elsewhere, P goes on" if state.status == "paused" else "N starts another run"
    return [Content.assemble((f"! {safe_line(state.failure)}", "$error"), (f"   {keys}", "bold $foreground"))]


def _fitting(groups: list[Content], width: int) -> Content:
    """As many whole groups as have room, beside each other."""
    row = Content("")
    for group in groups:
        longer = group if not row else Content("  ").join([row, group])
        if longer.cell_length > width:
            break
        row = longer
    return row


def _losses(run: Run) -> list[Content]:
    """The losses, most wanted first."""
    groups = [
        _pair("loss", nats(run.last.loss if run.last else math.nan)),
        _pair("average", nats(run.curve.average), "bold $primary"),
    ]
    if run.evaluations:
        newest = run.evaluations[-1]
        groups += [
            _pair("validation ◆", nats(newest.val_loss), "bold $accent"),
            Content.assemble((nats(newest.val_loss_per_char, 4), "bold $accent"), (" a character", "$faint")),
        ]
    if run.curve.skipped:
        groups.append(Content.styled(f"× {run.curve.skipped:,}", "$error"))
    return groups


def _paces(run: Run) -> list[Content]:
    """What else is known of the run, most wanted first."""
    groups = []
    if run.last is not None:
        groups = [
            Content.assemble((f"{run.last.tokens_per_second:,.0f}", "$foreground"), (" tokens/s", "$faint")),
            _pair("rate", number(run.last.lr, 3)),
            _pair("gradient", nats(run.last.grad_norm, 2)),
        ]
    if run.saved is not None:
        groups.append(_pair("saved", f"{run.saved.step:,}"))
    if words := reference_words(run):
        groups.append(_pair("nanoGPT", words, "$secondary"))
    return groups


def _pair(label: str, value: str, style: str = "$foreground") -> Content:
    return Content.assemble((f"{label} ", "$faint"), (value, style))

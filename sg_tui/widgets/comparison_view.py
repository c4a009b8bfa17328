"""Runs compared: the settings in which they differ, how far they came, and what they wrote, side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from sg_tui.figures import nats
from sg_tui.state.run_comparison import (
    average_at,
    differing,
    outcomes,
    sample_at,
    sample_steps,
    validation_at,
)
from sg_tui.state.training_run import Run
from sg_tui.terminal.textsafe import safe, safe_line
from sg_tui.widgets.loss_chart import letter
from sg_tui.widgets.sample_walk import SampleWalk
from sg_tui.widgets.timeline import timeline

_LABEL = 16
_COLUMN = 20  # cells of a run, at least


class ComparisonView(SampleWalk):
    """The present run first, then earlier ones, as many as have room; the arrows walk through the samples."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.border_title = "runs compared"
        self._all: Sequence[Run] = ()
        self._runs: Sequence[Run] = ()  # that have room
        self._at: int | None = None  # the step whose samples are seen, None: the newest ones
        self._shown: object = None

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def most(self) -> int:
        """How many runs have room."""
        return max(1, (self._width - _LABEL) // _COLUMN)

    @property
    def _width(self) -> int:
        """Without the scrollbar; 0 before it is laid out."""
        return self.query_one(Static).size.width

    def on_resize(self) -> None:
        self.call_after_refresh(lambda: self.show(self._all))

    def show(self, runs: Sequence[Run]) -> None:
        """Draw these, if anything has changed."""
        self._all, self._runs = runs, runs[: self.most()]
        key = (
            self.content_size,
            self._at,
            [(id(run), run.step, len(run.samples), len(run.evaluations)) for run in runs],
        )
        if key != self._shown and self._width:
            self._shown = key
            self._draw()

    def look(self, by: int) -> None:
        steps = sample_steps(self._runs)
        if steps:
            place = len(steps) - 1 if self._at not in steps else steps.index(self._at)
            place = max(0, min(len(steps) - 1, place + by))
            self._at = None if place == len(steps) - 1 else steps[place]
            self._shown = None
            self.show(self._all)

    def _draw(self) -> None:
        runs, width = self._runs, self._width
        column = (width - _LABEL) // max(1, len(runs))
        rows = [_row("", [_name(run, number) for number, run in enumerate(runs)], column, "bold $foreground")]
        if len(runs) < 2:
            rows.append(Content.styled("No earlier run is known to compare with this one.", "$faint"))
        different = differing(runs)
        rows += [_row(label, values, column) for label, values in different]
        if len(runs) > 1 and not different:
            rows.append(Content.styled("All settings are the same.", "$faint"))
        rows += [_rule(width), *(_row(label, values, column) for label, values in outcomes(runs))]
        rows += [_rule(width), *self._samples(column)]
        self.query_one(Static).update(Content("\n").join(rows))

    def _samples(self, column: int) -> list[Content]:
        steps = sample_steps(self._runs)
        if not steps:
            return [Content.styled("None of them has written a sample.", "$faint")]
        at = self._at if self._at in steps else steps[-1]
        losses = [average_at(self._runs[0], step) for step in steps]
        head = Content.assemble((f"{'samples ← →':<{_LABEL}}", "$faint"), timeline(losses, steps.index(at), 4 * _LABEL))
        found = [sample_at(run, at) for run in self._runs]
        titles = [f"after step {sample.step:,}" if sample else "–" for sample in found]
        averages, validations = (
            [nats(value(run, sample.step)) if sample else "–" for run, sample in zip(self._runs, found, strict=True)]
            for value in (average_at, validation_at)
        )
        texts = [_broken(sample.text, column - 2) if sample else [] for sample in found]
        depth = max(map(len, texts))
        lines = [[text[number] if number < len(text) else "" for text in texts] for number in range(depth)]
        return [
            head,
            _row("", titles, column, "$foreground"),
            _row("  average", averages, column),
            _row("  validation", validations, column),
            *(_row("", line, column, "$model") for line in lines),
        ]


def _name(run: Run, number: int) -> str:
    return f"{letter(run)} {run.model}" if number else f"this one, {run.model}"


def _broken(text: str, width: int) -> list[str]:
    return [
        piece for line in safe(text).strip("\n").split("\n") for piece in (textwrap.wrap(line, max(1, width)) or [""])
    ]


def _row(label: str, values: Sequence[str], column: int, style: str = "$foreground") -> Content:
    cells = "".join(f"{_cut(safe_line(value), column - 2):<{column}}" for value in values)
    return Content.assemble((f"{label:<{_LABEL}}", "$faint"), (cells, style))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"


def _rule(width: int) -> Content:
    return Content.styled("─" * width, "$border")

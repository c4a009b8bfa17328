"""The loss of the present run and of earlier ones, as a chart to zoom and pan. Only this draws with textual-plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static
from textual_plot import HiResMode, PlotWidget
from textual_plot.axis_formatter import AxisFormatter

from sg_core.storage.run_log import BACK, RunEvent
from sg_tui.figures import count, duration, number
from sg_tui.keys import bindings
from sg_tui.state.normal_run import NormalRun, normal_run
from sg_tui.state.training_run import Run
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.chart import (
    Floats,
    Window,
    decimate,
    duration_ticks,
    gap_marks,
    log_ticks,
    nice_ticks,
    padded,
    robust_limits,
)

XAxis = Literal["step", "tokens", "time"]
X_AXES: tuple[XAxis, ...] = ("step", "tokens", "time")
RUN_COLOURS = 6
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# karpathy/nanoGPT, README: best validation loss of its character model on the same split of tinyshakespeare.
NANOGPT = 1.4697


class Ticks(AxisFormatter):
    """An axis whose ticks and labels are given by two functions; at most about `most` ticks."""

    def __init__(
        self, ticks: Callable[[float, float, int], list[float]], label: Callable[[float], str], most: int
    ) -> None:
        self._ticks = ticks
        self._label = label
        self._most = most

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        return self._ticks(min_, max_, self._most)

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        return [self._label(tick) for tick in ticks]


class Plot(PlotWidget, inherit_bindings=False):
    """The drawing surface; its keys come from our table."""

    BINDINGS = bindings("chart")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    class Reset(Message):
        """All of the data is wanted again."""

    def __init__(self) -> None:
        super().__init__(invert_mouse_wheel=True)

    def action_reset_scales(self) -> None:
        """The limits of the last drawing are not those of the data that came since: the owner knows better."""
        self.post_message(self.Reset())


class LossChart(Vertical):
    """Shows what `show` gave it last; `redraw` draws it, which its owner asks for at most twice a second."""

    COMPONENT_CLASSES = {  # noqa: RUF012 (declared so by Textual)
        "chart--raw",
        "chart--words",
        "chart--validation",
        "chart--reference",
        "chart--gap",
        "chart--event",
        "chart--normal",
        *(f"chart--run-{number}" for number in range(RUN_COLOURS)),
    }

    class Zoomed(Message):
        """The visible part changed."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.log_y = True
        self.x_axis: XAxis = "step"
        self.zoomed = False
        self._run: Run | None = None
        self._earlier: Sequence[Run] = ()
        self.fitted = (0.0, 1.0, 0.0, 1.0)  # limits that hold all data
        self._limits = self.fitted  # limits on screen

    def compose(self) -> ComposeResult:
        yield Static(id="legend-line", markup=False)
        yield Plot()

    def on_mount(self) -> None:
        plot = self.query_one(Plot)
        plot.margin_top, plot.margin_bottom, plot.margin_left = 0, 1, 7

    # ------------------------------------------------------------ what is shown

    def show(self, run: Run | None, earlier: Sequence[Run] = ()) -> None:
        """Take these runs; a new run is seen whole."""
        if run is not self._run:
            self.zoomed = False
        self._run, self._earlier = run, earlier

    def toggle_log(self) -> None:
        self.log_y = not self.log_y
        self.zoomed = False
        self.redraw()

    def next_x_axis(self) -> None:
        self.x_axis = X_AXES[(X_AXES.index(self.x_axis) + 1) % len(X_AXES)]
        self.zoomed = False
        self.redraw()

    def on_plot_widget_scale_changed(self, event: PlotWidget.ScaleChanged) -> None:
        event.stop()
        self._limits = (event.x_min, event.x_max, event.y_min, event.y_max)
        self.zoomed = True
        self.post_message(self.Zoomed())

    def on_plot_reset(self) -> None:
        self.zoomed = False
        self.redraw()

    # ------------------------------------------------------------ drawing

    def redraw(self) -> None:
        plot = self.query_one(Plot)
        plot.clear()
        self.query_one("#legend-line", Static).update(self._legend())
        scale, part = ", log scale" if self.log_y else "", "  (a part: 0 shows all)" if self.zoomed else ""
        self.border_title = f"loss, nats a token, by {self.x_axis}{scale}{part}"
        if self._run is None or not len(self._run.curve):
            plot.set_xticks([])
            plot.set_yticks([])
            return
        self._fit(self._run)
        self._set_ticks(plot)
        columns = max(2, 2 * (plot.size.width - plot.margin_left - 2))
        window = Window(self._limits[0], self._limits[1], columns)
        normal = normal_run(self._run)
        if normal is not None and self.x_axis != "time":
            self._draw_normal(plot, normal, self._run)
        for run in self._earlier:
            self._draw_earlier(plot, run, window)
        self._draw_run(plot, self._run, window)

    def _fit(self, run: Run) -> None:
        """Find the limits that hold the data; put the plot there unless the person looks at a part."""
        smooth = np.concatenate([self._y(one.curve.smoothed) for one in (run, *self._earlier)])
        validation = self._y([one.val_loss for one in run.evaluations])
        reference = self._y([reference_loss(run)])
        low, high = robust_limits(self._y(run.curve.losses), np.concatenate([smooth, validation, reference]))
        ends = [x for one in (run, *self._earlier) if len(one.curve) for x in self._x(one)[[0, -1]]]
        x_low, x_high = (float(min(ends)), float(max(ends))) if ends else (0.0, 1.0)
        self.fitted = (*padded(x_low, max(x_high, x_low + 1), 0.01), *padded(low, high, least=0.005))
        if not self.zoomed:
            self._limits = self.fitted
            plot = self.query_one(Plot)
            plot.set_xlimits(*self._limits[:2])
            plot.set_ylimits(*self._limits[2:])

    def _set_ticks(self, plot: Plot) -> None:
        plot.set_xticks(None)
        plot.set_yticks(None)
        across, down = max(2, plot.size.width // 10), max(4, plot.size.height // 3)
        if self.x_axis == "time":
            plot.set_x_formatter(Ticks(duration_ticks, duration, across))
        else:
            plot.set_x_formatter(Ticks(nice_ticks, count, across))
        if self.log_y:
            plot.set_y_formatter(Ticks(log_ticks, lambda tick: number(10.0**tick), down))
        else:
            plot.set_y_formatter(Ticks(nice_ticks, number, down))

    def _draw_run(self, plot: Plot, run: Run, window: Window) -> None:
        """Back to front: raw values, reference, validation, average, marks."""
        xs, at = self._x(run), self._evaluations_x(run)
        validation = self._y([one.val_loss for one in run.evaluations])
        gold = self._style("chart--validation")
        self._line(plot, xs, self._y(run.curve.losses), window, self._style("chart--raw"))
        self._draw_reference(plot, self._y([reference_loss(run)])[0], window)
        self._line(plot, at, validation, window, gold)
        self._line(plot, xs, self._y(run.curve.smoothed), window, self._run_style(run), thick=True)
        plot.scatter(at, validation, marker="◆", marker_style=gold)
        marks = gap_marks(xs, np.array(run.curve.losses), window)
        bottom = self._limits[2] + 0.02 * (self._limits[3] - self._limits[2])
        plot.scatter(marks, np.full_like(marks, bottom), marker="×", marker_style=self._style("chart--gap"))
        self._draw_events(plot, run)

    def _draw_events(self, plot: Plot, run: Run) -> None:
        """A line at each event, with its number on top; beneath each other where they share a column."""
        style, (left, right, low, high) = self._style("chart--event"), self._limits
        rows, columns = max(2, plot.size.height - 2), max(2, plot.size.width - plot.margin_left - 2)
        seen: dict[int, int] = {}
        places = list(event_places(run, self._x(run)))
        heights = np.linspace(low, high, 2 * rows)
        for _, x in places:
            plot.scatter(np.full_like(heights, x), heights, marker="┊", marker_style=style)
        for event, x in places:  # over all lines
            column = int((x - left) / (right - left) * columns)
            level = seen[column] = seen.get(column, -1) + 1
            top = high - (0.5 + level) * (high - low) / rows
            plot.scatter([x], [top], marker=numeral(event.number), marker_style=style)

    def _draw_reference(self, plot: Plot, height: float, window: Window) -> None:
        if math.isfinite(height):
            dashes = np.linspace(window.start, window.end, window.columns // 2)
            style = self._style("chart--reference")
            plot.scatter(dashes, np.full_like(dashes, height), marker="┄", marker_style=style)

    def _draw_normal(self, plot: Plot, normal: NormalRun, run: Run) -> None:
        """Where nine of ten steps of the shipped run lie, a shade in each cell, and its validations."""
        per_step = run.tokens_per_step if self.x_axis == "tokens" else 1
        style, (left, right, bottom, top) = self._style("chart--normal"), self._limits
        columns, rows = max(2, plot.size.width - plot.margin_left - 2), max(2, plot.size.height - 3)
        x = left + (np.arange(columns) + 0.5) * (right - left) / columns
        low, high = (self._y(edge) for edge in zip(*(normal.at(one / per_step) for one in x), strict=True))
        y = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
        half = 0.5 * (top - bottom) / rows
        row, column = np.nonzero((y[:, None] >= low - half) & (y[:, None] <= high + half))
        plot.scatter(x[column], y[row], marker="░", marker_style=style)
        plot.scatter(
            normal.validation_steps * per_step, self._y(normal.validations), marker="◇", marker_style=style
        )  # fmt: skip

    def _draw_earlier(self, plot: Plot, run: Run, window: Window) -> None:
        xs, ys, style = self._x(run), self._y(run.curve.smoothed), self._run_style(run)
        self._line(plot, xs, ys, window, style)
        ends = np.flatnonzero(np.isfinite(ys))[-1:]
        plot.scatter(xs[ends], ys[ends], marker=letter(run), marker_style=style)

    def _line(self, plot: Plot, xs: Floats, ys: Floats, window: Window, style: str, thick: bool = False) -> None:
        """A line of braille dots, two dots thick if it must stand out without its colour."""
        dot = (self._limits[3] - self._limits[2]) / max(1, 4 * (plot.size.height - 3))
        for x, y in decimate(xs, ys, window):
            if len(x) == 1:
                plot.scatter(x, y, marker_style=style, hires_mode=HiResMode.BRAILLE)
                continue
            if thick:  # there, and back one dot higher: one piece, so that a cell holds the dots of both
                x, y = np.concatenate([x, x[::-1]]), np.concatenate([y, y[::-1] + dot])
            plot.plot(x, y, line_style=style, hires_mode=HiResMode.BRAILLE)

    # ------------------------------------------------------------ values

    def _x(self, run: Run) -> Floats:
        steps: Floats = np.array(run.curve.seconds if self.x_axis == "time" else run.curve.steps)
        return steps * run.tokens_per_step if self.x_axis == "tokens" else steps

    def _evaluations_x(self, run: Run) -> Floats:
        if self.x_axis == "time":
            return np.array(run.evaluation_seconds, dtype=np.float64)
        steps: Floats = np.array([one.step for one in run.evaluations], dtype=np.float64)
        return steps * run.tokens_per_step if self.x_axis == "tokens" else steps

    def _y(self, values: Sequence[float] | Floats) -> Floats:
        """Heights of these losses on the y axis; NaN where a logarithm has none."""
        y: Floats = np.array(values, dtype=np.float64)
        if not self.log_y:
            return y
        return np.log10(np.where(y > 0, y, np.nan))

    # ------------------------------------------------------------ words and colours

    def _style(self, name: str) -> str:
        return str(self.get_component_rich_style(name))

    def _run_style(self, run: Run) -> str:
        return self._style(f"chart--run-{run.number % RUN_COLOURS}")

    def _legend(self) -> Text:
        run, words = self._run, self._style("chart--words")
        if run is None or not len(run.curve):
            return Text("The curve begins with the first step.", words)
        parts = [("⠢⠔", "each step", "chart--raw"), ("━━", "average", f"chart--run-{run.number % RUN_COLOURS}")]
        if run.evaluations:
            parts.append(("◆", "validation", "chart--validation"))
        for event in run.events[-2:]:
            parts.append((numeral(event.number), safe_line(event.words, 30), "chart--event"))
        if math.isfinite(reference_loss(run)):
            parts.append(("┄┄", f"nanoGPT {NANOGPT}", "chart--reference"))
        if run.curve.skipped:
            parts.append(("×", f"skipped {run.curve.skipped}", "chart--gap"))
        for one in self._earlier:
            parts.append((letter(one), safe_line(one.name, 26), f"chart--run-{one.number % RUN_COLOURS}"))
        if normal_run(run) is not None and self.x_axis != "time":
            parts.append(("░░ ◇", "shipped model, 9 of 10 steps", "chart--normal"))
        drawn = [Text.assemble((sign, self._style(name)), " ", (said, words)) for sign, said, name in parts]
        return Text("  ").join(drawn)


def letter(run: Run) -> str:
    """The letter that marks an earlier run, fixed by its number."""
    return LETTERS[run.number % len(LETTERS)]


def numeral(number: int) -> str:
    """The sign of an event by the number of its line; one for all where there is none of its own."""
    return chr(ord("①") + number - 1) if 1 <= number <= 20 else "●"


def event_places(run: Run, xs: Floats) -> Iterator[tuple[RunEvent, float]]:
    """Each event with the x of the step that it acted at, or went back to, as far as the curve has that step."""
    steps = np.array(run.curve.steps)
    for event in run.events:
        step = event.values["to"] if event.kind == BACK else event.step
        place = int(np.searchsorted(steps, step))
        if place < len(steps):
            yield event, float(xs[place])
        elif len(steps):
            yield event, float(xs[-1])


def reference_loss(run: Run) -> float:
    """NANOGPT's figure as nats per token of this run; NaN for other data and before an evaluation."""
    return NANOGPT * run.characters_per_token if run.facts.data == "tinyshakespeare" else math.nan

"""The Bench view: what each switch of the engine is worth, measured on the loaded model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual import on
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from sg_core.engine.commands import Bench
from sg_core.engine.events import Loaded
from sg_tui.desk import Desk
from sg_tui.keys import Scope, bindings
from sg_tui.screens.bench_race import FigureActions
from sg_tui.state.bench_state import COMBINATIONS, SORT_KEYS
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.bench_table import SORT_WORDS, BenchTable
from sg_tui.widgets.race_view import RaceView

FEWEST_TOKENS, MOST_TOKENS = 8, 1024


class BenchScreen(FigureActions):
    """`desk.bench` knows the rows; `tokens` is what the next measurement writes in each row."""

    MODE = "bench"
    CSS_PATH = "../styles/bench.tcss"
    BINDINGS = bindings("bench")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.tokens = 64

    def body(self) -> Iterable[Widget]:
        yield Static(id="measured", markup=False)
        yield BenchTable(id="table")
        yield Static(id="bench-words", markup=False)
        yield RaceView(id="race")

    def scopes(self) -> tuple[Scope, ...]:
        return ("bench", "app")

    def labels(self) -> Mapping[str, str]:
        if self.desk.bench.running or self.desk.race.running:
            return {"ladder": "", "all": "", "race": ""}
        return {"stop_bench": ""} | ({} if self.desk.bench.rows else {"take_row": "", "save_rows": "", "sort": ""})

    # ------------------------------------------------------------ drawing

    def draw(self) -> None:
        bench = self.desk.bench
        table = self.query_one(BenchTable)
        if not table.is_mounted:
            return
        self.set_class(bool(bench.rows), "-rows")
        self.query_one("#measured", Static).update(self._measured())
        self.query_one("#bench-words", Static).update(self._words())
        table.show(bench)
        race = self.query_one(RaceView)
        self.set_class(self.desk.race.command is not None, "-raced")
        race.show(self.desk.race)
        self.set_class(self._raced_last, "-race")

    def _measured(self) -> Content:
        """What the rows were measured on, or will be."""
        command, loaded = self.desk.bench.command, self.desk.bench.measured or self.desk.generation.loaded
        if loaded is None:
            return Content.styled("No model is loaded yet.", "$faint")
        tokens = command.tokens if command is not None else self._tokens_within(loaded)
        size = f"{loaded.config.parameter_count / 1e6:,.1f} M parameters"
        count = self.desk.generation.threads or loaded.threads
        threads = f"{count} thread{'s' if count != 1 else ''}"
        what = f"{size}  ·  {loaded.precision}  ·  {threads}  ·  {tokens} tokens a row from a prompt of one"
        return Content.assemble((f"{safe_line(loaded.model, 40)}  ", "bold $foreground"), (what, "$faint"))

    def _words(self) -> Content:
        """What goes on, what came of it, or what a key would do."""
        bench = self.desk.bench
        if bench.failure:
            return Content.styled(f"! {safe_line(bench.failure)}", "$error")
        if bench.running:
            inside = f", token {bench.phase.done} of {bench.phase.total}" if bench.phase.total else ""
            row = min(len(bench.rows) + 1, bench.expected)
            words = f"measuring row {row} of {bench.expected}{inside}   Esc stops"
            return Content.styled(words, "$accent")
        if bench.rows:
            end = "stopped" if bench.reason == "stopped" else "done"
            beside = f", beside {safe_line(bench.before_name, 40)}" if bench.before else ""
            words = f"{end}: {len(bench.rows)} rows, {SORT_WORDS[self.query_one(BenchTable).sort]}{beside}"
            return Content.assemble((words, "$foreground"), (f"   next: {self.tokens} tokens a row", "$faint"))
        return _introduction(self.tokens)

    # ------------------------------------------------------------ actions

    def action_ladder(self) -> None:
        self._measure(False)

    def action_all(self) -> None:
        self._measure(True)

    def _measure(self, every_combination: bool) -> None:
        loaded = self.desk.generation.loaded
        if self.desk.bench.running or self.desk.race.running:
            self.desk.say("A measurement is under way. Esc stops it.")
            return
        if loaded is None:
            self.desk.say("No model is loaded yet.", "warning")
            return
        command = Bench(self.desk.next_request(), self._tokens_within(loaded), every_combination)
        self.desk.bench.asked(command, loaded)
        self._raced_last = False
        self.desk.submit(command)
        self.draw_all()

    def _tokens_within(self, loaded: Loaded) -> int:
        return min(self.tokens, loaded.config.n_ctx)

    def action_stop_bench(self) -> None:
        if self.desk.bench.running or self.desk.race.running:
            self.desk.stop()

    def action_sort(self) -> None:
        table = self.query_one(BenchTable)
        table.sort = SORT_KEYS[(SORT_KEYS.index(table.sort) + 1) % len(SORT_KEYS)]
        self.show_rows()

    @on(BenchTable.HeaderClicked)
    def _sort_by(self, event: BenchTable.HeaderClicked) -> None:
        self.query_one(BenchTable).sort = event.sort
        self.draw()

    def action_tokens(self, factor: float) -> None:
        self.tokens = max(FEWEST_TOKENS, min(MOST_TOKENS, round(self.tokens * factor)))
        self.draw()


def _introduction(tokens: int) -> Content:
    return Content.assemble(
        ("What is each optimization worth here?\n\n", "bold $foreground"),
        ("Enter", "bold $primary"),
        (" measures the ladder: every switch off, then one more on in each row.\n", "$foreground"),
        ("a", "bold $primary"),
        (f"     measures all {COMBINATIONS} combinations.\n", "$foreground"),
        ("r", "bold $primary"),
        ("     races the present setting against another, a token of each in turn; ← → choose it.\n", "$foreground"),
        ("+ -", "bold $primary"),
        (f"   {tokens} tokens a row; the longer, the more the early rows lose.\n\n", "$foreground"),
        ("Every row writes the same text; only the time differs. Pause a training first.", "$faint"),
    )

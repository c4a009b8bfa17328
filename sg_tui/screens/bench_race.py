"""What the Bench view does with figures: races, files of them, an earlier day's beside them, a row taken over."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sg_core import paths
from sg_core.engine.commands import Race
from sg_core.measure.setting import Setting
from sg_tui.library import figures_file
from sg_tui.screens.mode import ModeScreen
from sg_tui.state.bench_state import SortKey
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.bench_table import BenchTable

PROMPT_CHARACTERS = 200  # of the end of the text in Write
LEAST_TOKENS = 64


class FigureActions(ModeScreen):
    """A view with a table of rows; `tokens` is how many a row has."""

    tokens: int
    _raced_last = False  # and not measured
    _compared = -1  # number of the saved measurement that stands beside the rows, -1 for none

    def action_race(self) -> None:
        loaded, race = self.desk.generation.loaded, self.desk.race
        if self.desk.bench.running or race.running:
            self.desk.say("A measurement is under way. Esc stops it.")
            return
        if loaded is None:
            self.desk.say("No model is loaded yet.", "warning")
            return
        left = Setting(loaded.precision, self.desk.generation.optimizations)
        prompt = self.desk.writing.manuscript.text[-PROMPT_CHARACTERS:] or "\n"
        sampling = self.desk.generation.sampling
        tokens = max(self.tokens, LEAST_TOKENS)
        command = Race(self.desk.next_request(), left, race.right(left), prompt, tokens, sampling)
        race.asked(command)
        self._raced_last = True
        self.desk.submit(command)
        self.draw_all()

    def action_rival(self, by: int) -> None:
        race, generation = self.desk.race, self.desk.generation
        race.choose(by)
        self.desk.say(f"r races against: {race.right(Setting(generation.precision, generation.optimizations)).words}")

    def action_row(self, by: int) -> None:
        self.desk.bench.choose(by)
        self.show_rows()

    def show_rows(self) -> None:
        """Draw them; on a small screen the race gives them its room."""
        self._raced_last = self._raced_last and not self.has_class("-short")
        self.draw()

    def action_take_row(self) -> None:
        """The setting of the chosen row becomes that of the next token."""
        lines = self.desk.bench.lines(self._sort)
        if not lines:
            self.desk.say("There is no row to take over yet.")
            return
        timing = lines[min(self.desk.bench.chosen, len(lines) - 1)].row.timing
        self.desk.set_optimizations(timing.optimizations)
        if timing.precision != self.desk.generation.setting.precision:
            self.desk.set_precision(timing.precision)
        self.desk.say(f"Write computes with: {Setting(timing.precision, timing.optimizations).words}")

    @property
    def _sort(self) -> SortKey:
        return self.query_one(BenchTable).sort

    def action_save_rows(self) -> None:
        race = self.desk.race
        if self._raced_last and race.standings.laps:
            self._save("race", race.records())
        elif self.desk.bench.rows:
            self._save(self._what, self.desk.bench.records())
        else:
            self.desk.say("There is nothing to save yet.")

    def _save(self, what: str, rows: list[dict[str, object]]) -> None:
        try:
            first, second = figures_file.save_rows(_folder(), what, rows, datetime.now())
        except OSError as problem:
            self.desk.say(f"This can't be saved in {_folder()}: {problem.strerror}", "error")
        else:
            self.desk.say(f"Saved: {first} and {second.name} beside it")

    def action_compare_rows(self) -> None:
        """The newest saved measurement beside the rows, then older ones, then none."""
        files = figures_file.saved(_folder(), self._what)
        self._compared = -1 if self._compared + 1 >= len(files) else self._compared + 1
        if not files:
            self.desk.say("No measurement of this model was saved; s saves one.")
        elif self._compared < 0:
            self.desk.bench.compare([], "")
        else:
            path = files[self._compared]
            try:
                self.desk.bench.compare(figures_file.read_rows(path), path.stem)
            except (OSError, ValueError) as problem:
                self.desk.say(f"{path} can't be read: {safe_line(str(problem), 100)}", "error")
        self.show_rows()

    @property
    def _what(self) -> str:
        """Of which model and precision the rows are, or would be: the name of their files."""
        measured = self.desk.bench.measured or self.desk.generation.loaded
        return f"bench {Path(measured.model).name} {measured.precision}" if measured else "bench"


def _folder() -> Path:
    return paths.data_dir() / "figures"

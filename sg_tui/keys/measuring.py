"""Bench."""

from __future__ import annotations

from sg_tui.keys.action import Action

MEASURING = (
    Action("ladder", ("enter",), "measure", "Measure the switches, one after another", "bench", footer=1),
    Action("all", ("a",), "all 128", "Measure all 128 combinations of switches", "bench", footer=2),
    Action("stop_bench", ("escape",), "stop", "Stop measuring", "bench", footer=1),
    Action("race", ("r",), "race", "Race the present setting against another: a token each in turn", "bench", footer=2),
    Action("rival(-1)", ("left",), "rival", "Another setting to race against", "bench", footer=4, palette=False),
    Action("rival(1)", ("right",), "", "The next setting to race against", "bench", palette=False),
    Action("row(-1)", ("up",), "", "The row above", "bench", palette=False),
    Action("row(1)", ("down",), "", "The row below", "bench", palette=False),
    Action("take_row", ("t",), "take", "Write with the setting of the chosen row", "bench", footer=2),
    Action("save_rows", ("s",), "save", "Save the rows, or the race, as JSON and CSV", "bench", footer=2),
    Action("compare_rows", ("c",), "compare", "Beside an earlier measurement that was saved", "bench", footer=4),
    Action("sort", ("o",), "sort", "Sort as measured, by time, or by switches", "bench", footer=3),
    Action("tokens(2)", ("plus", "equals_sign"), "tokens", "Twice as many tokens a row", "bench", footer=4),
    Action("tokens(0.5)", ("minus",), "", "Half as many tokens a row", "bench"),
)

"""Bench."""

from __future__ import annotations

from sg_tui.keys.action import Action

MEASURING = (
    Action("ladder", ("enter",), "measure", "Measure the switches, one after another", "bench", footer=1),
    Action("all", ("a",), "all 128", "Measure all 128 combinations of switches", "bench", footer=2),
    Action("stop_bench", ("escape",), "stop", "Stop measuring", "bench", footer=1),
    Action("sort", ("o",), "sort", "Sort as measured, by time, or by switches", "bench", footer=3),
    Action("tokens(2)", ("plus", "equals_sign"), "tokens", "Twice as many tokens a row", "bench", footer=4),
    Action("tokens(0.5)", ("minus",), "", "Half as many tokens a row", "bench"),
)

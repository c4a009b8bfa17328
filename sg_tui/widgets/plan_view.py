"""The plan of a training beneath its form: what it takes of memory, time and disk, and what would fit if it doesn't."""

from __future__ import annotations

import textwrap

from textual.content import Content

from sg_tui.figures import size, span
from sg_tui.state.training_plan import Answer, PlanState
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.panel import Panel, lines

_LABEL = 9


class PlanView(Panel):
    """`show` draws what is known; rows that can't be known yet say so."""

    TITLE = "plan"
    _rows = 0  # that are shown

    def show(self, plan: PlanState, summary: str) -> None:
        """summary: what the run amounts to, "" while the form is not whole."""
        rows = [("run", summary or "the form is not whole yet: what is wrong is told at its boxes", "")]
        if summary:
            rows += _told(plan)
        width = max(20, self.content_size.width - _LABEL)
        shown = [line for row in rows for line in _wrapped(*row, width)]
        self.set_content(lines(shown))
        if len(shown) != self._rows:
            self._rows = len(shown)
            self.refresh(layout=True)


Row = tuple[str, str, str]  # label, words, style


def _told(plan: PlanState) -> list[Row]:
    answer = plan.answer
    if answer is None:
        return [("memory", "…", "")]
    if answer.trouble:
        return []
    return [
        *_memory(answer),
        ("time", _time(plan), ""),
        ("result", _result(plan, answer), ""),
        ("data", _text(answer), ""),
    ]


def _memory(answer: Answer) -> list[Row]:
    total = sum(answer.memory.values())
    free = "" if answer.free is None else f" of {size(answer.free)} free"
    parts = ", ".join(f"{name} {size(count)}" for name, count in answer.memory.items())
    row = ("memory", f"{size(total)}{free}: {parts}", "")
    return [row, ("", f"! too much; {safe_line(answer.advice)}", "bold $error")] if answer.advice else [row]


def _time(plan: PlanState) -> str:
    told = plan.time
    if told is not None:
        validations = f", {told.validations:,} validations of {span(told.validation)}" if told.validations else ""
        steps = plan.question.training.steps if plan.question else 0
        measured = f"{told.measured} measured"
        return f"about {span(told.seconds)}: {steps:,} steps of {span(told.step)} ({measured}){validations}"
    if plan.trouble:
        return safe_line(plan.trouble)
    if plan.answer is not None and plan.answer.advice:
        return "known once it fits"
    waits = plan.waits_for
    if waits in ("", "idle"):
        return "measuring three steps …"
    return f"three steps are measured when the engine is through with {safe_line(waits)}"


def _result(plan: PlanState, answer: Answer) -> str:
    made = "adapter" if plan.question is not None and plan.question.training.lora else "model"
    return f"{made} of {size(answer.result)}; checkpoints of {size(answer.checkpoint)}, three at most"


def _text(answer: Answer) -> str:
    files = "a text" if answer.files == 1 else f"{answer.files:,} texts"
    return f"{files}, {size(answer.size)}, about {answer.tokens:,} tokens"


def _wrapped(label: str, words: str, style: str, width: int) -> list[Content]:
    """The words beside their label, on as many lines as they need."""
    broken = textwrap.wrap(words, width) or [""]
    return [
        Content.assemble((f"{label if number == 0 else '':<{_LABEL}}", "$faint"), (line, style or "$foreground"))
        for number, line in enumerate(broken)
    ]

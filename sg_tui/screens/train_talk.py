"""Talking to the model while it learns, in the Train view, and saving it elsewhere: what one types on a line."""

from __future__ import annotations

from textual import on
from textual.widgets import Input

from sg_core.engine.commands import Generate, SaveTraining
from sg_core.engine.events import Event
from sg_tui.desk import Desk
from sg_tui.screens.mode import ModeScreen
from sg_tui.state.talk import Talk
from sg_tui.widgets.line_input import LineInput
from sg_tui.widgets.loss_chart import Plot
from sg_tui.widgets.sample_view import SampleView

ANSWER_TOKENS = 200
LINES = {
    "talk": "write to the model as it is now; Enter alone lets it go on",
    "folder": "a folder to save this run in",
    "change": "what to change: learning rate 0.001, schedule wsd, dropout 0.1",
}


class TalkActions(ModeScreen):
    """The line stays open for the next question; the training and the answer take turns."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.talk = Talk()
        self._line = ""  # what the line asks for: a key of LINES, or nothing

    def handle(self, event: Event) -> None:
        self.talk.take(event)

    def action_talk(self) -> None:
        self.ask("talk")

    def action_save_elsewhere(self) -> None:
        if self.desk.training.live:
            self.ask("folder")

    def ask(self, what: str, value: str = "") -> None:
        """Open the line for what is asked, a key of LINES, with what may stand there."""
        line = self.query_one("#line", LineInput)
        self._line = what
        line.placeholder = LINES[what]
        line.value = value
        line.display = True
        line.focus()

    @on(Input.Submitted, "#line")
    def _answered(self, event: Input.Submitted) -> None:
        text, event.input.value = event.value, ""
        self.take_line(self._line, text)

    def take_line(self, what: str, text: str) -> None:
        """Do what was typed on the line."""
        if what == "folder":
            self.close_line()
            if text.strip():
                self.desk.submit(SaveTraining(text.strip()))
        elif text:
            self._generate(f"{text}\n" if text.endswith(":") else text)
        else:
            self._generate(self.talk.so_far or "\n")

    def action_sample_now(self) -> None:
        self._generate("\n")

    def _generate(self, prompt: str) -> None:
        run = self.desk.training.run
        if run is None:  # one that is through is still there
            self.desk.say("No model has been trained yet.")
            return
        self.show_samples()
        sampling = self.desk.generation.sampling
        command = Generate(self.desk.next_request(), prompt, ANSWER_TOKENS, sampling, from_training=True)
        self.talk.asked(command, run.step)
        self.desk.submit(command)
        view = self.query_one(SampleView)
        view.talking = True
        view.show(self.desk.training, self.talk)

    def show_samples(self) -> None:
        """Give the samples their room again, where an answer is seen."""

    def action_leave(self) -> None:
        if self.talk.running:
            self.desk.stop()
        else:
            self.close_line()

    def close_line(self) -> None:
        """Put the line away."""
        self.query_one("#line").display = False
        self.query_one(Plot).focus()

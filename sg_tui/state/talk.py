"""One question to the model that is being trained, and its answer as it comes. Plain data."""

from __future__ import annotations

from sg_core.engine.commands import Generate
from sg_core.engine.events import Done, Event, Failed, TokenEvent


class Talk:
    """`text` is raw model output. The training goes on when the answer is complete."""

    def __init__(self) -> None:
        self.command: Generate | None = None
        self.step = 0  # of the training, when the question was asked
        self.text = ""
        self.running = False
        self.failure = ""
        self.version = 0

    @property
    def so_far(self) -> str:
        """The question and its answer: what can be gone on with."""
        return f"{self.command.prompt}{self.text}" if self.command is not None else ""

    def asked(self, command: Generate, step: int) -> None:
        """`command` is about to be submitted."""
        self.command, self.step = command, step
        self.text, self.failure, self.running = "", "", True
        self.version += 1

    def take(self, event: Event) -> bool:
        """Take what belongs to the question; False when nothing changed."""
        if self.command is None:
            return False
        match event:
            case TokenEvent(request=self.command.request, token=token):
                self.text += token.text
            case Done(request=self.command.request):
                self.running = False
            case Failed(request=self.command.request, message=message):
                self.running, self.failure = False, message
            case _:
                return False
        self.version += 1
        return True

"""What the model writes while it learns: its samples along a timeline, or its answer to a question."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from sg_tui.state.run_comparison import average_at, loss_words
from sg_tui.state.talk import Talk
from sg_tui.state.training_run import Run
from sg_tui.state.training_state import TrainingState
from sg_tui.terminal.textsafe import safe, safe_line
from sg_tui.widgets.sample_walk import SampleWalk
from sg_tui.widgets.timeline import timeline


class SampleView(SampleWalk):
    """Shows the newest sample until the person looks at an older one, or the answer while one is asked for."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.back = 0  # how many samples before the newest one is looked at
        self.talking = False  # the answer is shown, not the samples
        self._run: Run | None = None
        self._count = 0  # samples of the run when it was drawn last
        self._shown: object = None
        self._known: tuple[TrainingState, Talk] | None = None  # what was shown last

    def compose(self) -> ComposeResult:
        yield Static(id="timeline", markup=False)
        yield Static(id="sample", markup=False)

    def look(self, by: int) -> None:
        """Look at an older (-1) or a newer (1) sample, or further; from the answer, back to the samples."""
        if self._known is None:
            return
        state, talk = self._known
        if self.talking:
            self.talking = False
        else:
            last = len(state.run.samples) - 1 if state.run else 0
            self.back = max(0, min(last, self.back - by))
        self.show(state, talk)

    def show(self, state: TrainingState, talk: Talk) -> None:
        self._known = state, talk
        if state.run is not self._run:
            self._run, self._count, self.back, self.talking = state.run, 0, 0, False
        self.query_one("#timeline").display = not self.talking and len(state.run.samples if state.run else ()) > 1
        if self.talking:
            self._show_answer(talk)
        else:
            self._show_sample(state)

    def _show_answer(self, talk: Talk) -> None:
        if (key := ("answer", talk.version)) == self._shown:
            return
        follow = self.max_scroll_y - self.scroll_y <= 1
        self._shown = key
        self.border_title = f"the model after step {talk.step:,}"
        self.border_subtitle = "Esc stops" if talk.running else "Enter goes on, T asks again, comma shows the samples"
        prompt = talk.command.prompt if talk.command else ""
        end = "▌" if talk.running else ""
        self.query_one("#sample", Static).update(
            Content.assemble(
                (safe(prompt), "bold $person"),
                (safe(talk.text), "$model"),
                (end, "$primary"),
                (f"\n! {safe_line(talk.failure)}" if talk.failure else "", "$error"),
            )
        )
        if follow:
            self.scroll_end(animate=False)

    def _show_sample(self, state: TrainingState) -> None:
        samples = state.run.samples if state.run else []
        if self.back:  # what is looked at stays, however many newer ones come
            self.back = min(len(samples) - 1, self.back + max(0, len(samples) - self._count))
        self._count = len(samples)
        at = len(samples) - 1 - self.back
        width = self.content_size.width
        key = (id(self._run), at, len(samples), state.live, width)
        if key == self._shown:
            return
        self._shown = key
        if not samples:
            self.border_title, self.border_subtitle = "samples", ""
            words = "The model's first sample comes here." if state.live else "This run wrote no sample."
            self.query_one("#sample", Static).update(Content.styled(words, "$faint"))
            return
        sample = samples[at]
        assert state.run is not None
        words = loss_words(state.run, sample.step)
        self.border_title = f"sample after step {sample.step:,}" + (f" · {words}" if words else "")
        self.border_subtitle = f"{at + 1} of {len(samples)}" + ("" if len(samples) == 1 else "   , older   . newer")
        losses = [average_at(state.run, one.step) for one in samples]
        self.query_one("#timeline", Static).update(timeline(losses, at, width))
        self.query_one("#sample", Static).update(Content.styled(safe(sample.text).strip("\n"), "$model"))
        self.scroll_home(animate=False)

"""What screens and widgets may ask for: the engine, what is known of it, the text being written, library and settings.

The engine is made on a thread of its own: nothing here imports NumPy or Numba, and nothing here draws.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from sg_core import paths
from sg_core.engine.commands import (
    Generate,
    Load,
    SetAdapterScale,
    SetOptimizations,
    SetPrecision,
    SetSampling,
    SetThreads,
    StopTraining,
)
from sg_core.engine.events import (
    Done,
    Event,
    Exported,
    Failed,
    Loaded,
    Notice,
    PrecisionSet,
    Saved,
    TokenEvent,
    TrainingEnded,
)
from sg_core.errors import SettingError
from sg_core.network.optimizations import Optimizations
from sg_core.processors import allowed_threads
from sg_tui.desk.engine_link import EngineLike, Severity
from sg_tui.desk.glass import Glass
from sg_tui.desk.inspector import Inspector
from sg_tui.desk.library_desk import LibraryDesk
from sg_tui.library import marks, preferences
from sg_tui.library.habits import Habits
from sg_tui.library.librarian import Librarian
from sg_tui.library.preferences import Preferences
from sg_tui.library.store import Store
from sg_tui.library.text_keeper import TextKeeper
from sg_tui.state.bench_state import BenchState
from sg_tui.state.continuations import Continuations
from sg_tui.state.first_minute import FirstMinute
from sg_tui.state.generation_state import GenerationState
from sg_tui.state.manuscript import Manuscript, Piece
from sg_tui.state.race_state import RaceState
from sg_tui.state.shelf import Section
from sg_tui.state.tint import Tint
from sg_tui.state.training_plan import PlanState
from sg_tui.state.training_state import TrainingState
from sg_tui.state.writing import Writing

MOST_THREADS = 256
SEEDS = 1 << 63
UNSTOPPABLE = ("importing", "compiling", "loading", "converting", "downloading")  # nothing is to be saved then
FADE_STEP = 10  # percent of the adapters, a press
PATIENT, HASTY = 0.5, 0.05  # seconds the engine has to end
LIBRARY_PATIENCE = 3.0  # seconds the library has to take the last words, in another file if need be
SAVING = 600.0  # and to save a training, after the terminal was given back
KEPT_SECONDS = 0.3  # between two looks at what there is to keep


class Returned(NamedTuple):
    """The text that was on the screen when a session ended, if there was one, and the words in its prompt."""

    id: str
    manuscript: Manuscript | None
    prompt: str


class Desk(Glass, LibraryDesk):
    """`submit` reaches the engine; what it tells is taken into the states by `drain`, and the screens show them.

    tell: shows one line to the person, any text, with its severity.
    """

    def __init__(
        self,
        tell: Callable[[str, Severity], None],
        model: str,
        precision: str | None = None,
        threads: int | None = None,
        adapters: tuple[str, ...] = (),
        plain: bool = False,
    ) -> None:
        super().__init__(tell)
        self.plain = plain  # special tokens in what is typed are plain text
        self.preferences, self._trouble = preferences.read(paths.config_dir())
        self.librarian = Librarian(paths.data_dir)
        self.habits = Habits(paths.data_dir())
        self.keys = self.preferences.keys  # that the person chose, by the names of their actions
        self.prompt = ""  # what stands in the prompt, not sent yet
        self.came_back: Returned | None = None  # what an earlier session left behind, until the screen has it
        self.wanted: Writing | None = None  # a text to go on with, until the screen has it
        self.library_section: Section = "all"  # of the library, that is seen
        self.may_go = False  # the person wanted to leave, and what that waited for is done
        self._keeper = TextKeeper(self.librarian)
        self._kept_at = 0.0
        self._kept_preferences = self.preferences
        self._leaving = False  # the person wanted to leave, and that waits for something
        self._of_leaving: list[Event] = []  # what came meanwhile, which no screen shows long enough
        self._adapters = adapters  # of the model that is asked for first
        self.model = model  # the loaded one, or the one asked for first
        self.precision = precision or self.preferences.precision  # wanted, also where a model can't have it
        self.generation = GenerationState()
        self.generation.threads = None if threads is None else allowed_threads(threads)
        self.generation.sampling = self.preferences.sampling
        self.generation.max_tokens = self.preferences.max_tokens
        self.toured = self.preferences.toured
        self.tint = Tint()
        self.training = TrainingState()
        self.plan = PlanState()
        self.bench = BenchState()
        self.race = RaceState()
        self.inspector = Inspector(self.submit, self.next_request)
        self.minute = FirstMinute(self.inspector.state)
        self.writing = Writing(chat=self.preferences.mode == "chat", cast=self.preferences.cast, plain=plain)
        self.load_trouble = ""  # why the model that was asked for is not there, until someone has told it
        self._loading = False
        self.several: Continuations | None = None  # what the newest generation writes, if not the text itself

    # ------------------------------------------------------------ the engine

    def start(self, engine: EngineLike | None = None) -> None:
        """Ask for the model, and make the engine that loads it, off this thread; or take this one."""
        if self._trouble:
            self.say(self._trouble, "warning")
        self.librarian.ask(self._bring_back)
        self.load(self.model, self._adapters)
        if self.preferences.pace:
            self.set_pace(self.preferences.pace)
        self.connect(engine)

    @property
    def busy(self) -> bool:
        """Whether the engine does something that can be stopped."""
        return self.generation.running or (self.engine is not None and self.engine.busy)

    def load(self, model: str, adapters: tuple[str, ...] = ()) -> None:
        """Load a model, with adapters on top; the old one stays until it is there."""
        self._loading = True
        alone = self.preferences.one_precision
        self.submit(Load(model, self.precision, self.generation.threads, adapters, alone))

    def generate(self) -> None:
        """Let the model go on with the text being written."""
        state = self.generation
        self.writing.manuscript.model = self._writes
        command = self.writing.command(self.next_request(), state.max_tokens, state.sampling)
        self.several = None
        state.asked(command)
        self.submit(command)

    def generate_several(self, index: int, count: int, tokens: int, later: int = 0) -> Continuations:
        """Let the model go on from before the piece at `index` in several ways at once; the text stays as it is.

        later: how many seeds after the set one theirs begin.
        """
        state, manuscript = self.generation, self.writing.manuscript
        manuscript.model = self._writes
        sampling = replace(state.sampling, seed=(state.sampling.seed + later) % SEEDS)
        command = self.writing.command(self.next_request(), tokens, sampling, index, count)
        self.several = Continuations(manuscript, index, count, sampling.seed, self._writes)
        state.asked(command)
        self.submit(command)
        return self.several

    @property
    def _writes(self) -> str:
        """The model whose tokens come."""
        return self.generation.loaded.model if self.generation.loaded else self.model

    def stop(self) -> None:
        """Stop the running generation or benchmark within one token; one that has not begun, at once."""
        if self.engine is not None:
            self.engine.stop()
            if self.generation.running and self.generation.phase.name in UNSTOPPABLE:
                self.generation.abandon()  # the engine obeys when it is through with what can't be interrupted
            return
        for command in [one for one in self._waiting if isinstance(one, Generate)]:
            self._waiting.remove(command)
            self._early.append(Done(command.request, "stopped", 0))

    # ------------------------------------------------------------ leaving

    def leave(self) -> bool:
        """The person wants to leave: whether that can be at once. If not, they are told what it waits for.

        `may_go` becomes True when it is done; a second wish gives it up.
        """
        training = self.training
        if self._leaving:
            return True
        if self.librarian.unsafe:
            self._leaving = True
            self.say("No file takes the text: Ctrl+S saves it elsewhere, Ctrl+Q again leaves without it.", "warning")
            return False
        if training.live and training.unsaved_steps and training.run is not None and training.run.facts.out:
            self._leaving = True
            self.say("The training is being saved; Ctrl+Q again leaves without its last steps.")
            training.stopping()
            self.submit(StopTraining())
            return False
        return True

    def close(self, theme: str) -> None:
        """Keep the text and the settings, let the engine go; all within a second. theme: "dark" or "light"."""
        self.keep(theme)
        if self.engine is not None:
            self.engine.close(timeout=HASTY if self.generation.phase.name in UNSTOPPABLE else PATIENT)
        self.librarian.close(timeout=LIBRARY_PATIENCE)

    def part(self, tell: Callable[[str], None]) -> None:
        """After the terminal was given back: wait for a training that is being saved, and say what is not as usual."""
        if self.engine is not None:
            if self.training.live and self.training.unsaved_steps and not self._leaving:
                tell("saving the training; Ctrl-C leaves without its last steps")
                self.engine.close(timeout=SAVING)
            for event in [*self._of_leaving, *self.engine.events]:
                match event:
                    case Saved(step=step, folder=folder):
                        tell(f"the training is saved at step {step:,} in {folder}")
                    case Notice(text=text) | Failed(message=text, command="Train"):
                        tell(text)
        if self.librarian.parting:
            tell(self.librarian.parting)

    # ------------------------------------------------------------ events

    def drain(self) -> Iterator[Event]:
        """The events that wait now, each taken into the states before it is handed on."""
        for event in self.arrived():
            self._take(event)
            yield event
        while self.librarian.notices:
            self.say(self.librarian.notices.popleft(), "warning")

    def _take(self, event: Event) -> None:
        request = self.generation.request
        for state in (self.generation, self.training, self.plan, self.bench, self.race, self.tint):
            state.take(event)
        match event:
            case TokenEvent() if event.request == request and self.several is not None:
                piece = Piece.written(event.token, event.top_texts, self.inspector.state.scales)
                self.several.write(event.number, piece)
            case Done() if request and event.request == request and self.several is not None:
                self.several.end(event.number, event.reason, event.rest)
                self.keep_text()
            case TokenEvent() if event.request == request:
                self.writing.manuscript.write(event.token, event.top_texts, self.inspector.state.scales)
            case Done() | Failed() if request and event.request == request:
                done = event if isinstance(event, Done) else None
                self.writing.manuscript.complete(done.rest if done else "", cut=bool(done and done.reason == "stop"))
                self.keep_text()
        if self._leaving:
            self._of_leaving.append(event)
        self.look_closer(event)
        self.inspector.take(event, self.writing.manuscript.pieces)
        self._note(event)

    def _note(self, event: Event) -> None:
        """Tell the person what no state shows, and remember the model and its precision."""
        match event:
            case Notice(text=text):
                self.say(text)
            case Exported(folder=folder, adapter=adapter):
                self.say(f"The trained {'adapter' if adapter else 'model'} is in {folder}; Ctrl+L opens it.")
            case Failed() if self.inspector.concerns(event):
                pass
            case Failed(message=message, request=None, command=command) if self._loading and command != "SetPrecision":
                self._loading, self.load_trouble = False, message
            case Failed(command="MeasureSteps"):
                pass  # the form tells it
            case Failed(message=message):
                self.say(message, "error")
            case Loaded(model=model):
                self._loading, self.model = False, model
            case PrecisionSet(precision=precision):
                self.precision = precision
            case TrainingEnded() if self._leaving:
                self.may_go = True

    # ------------------------------------------------------------ settings

    def flip(self, *names: str) -> None:
        """Flip one switch; of several, all off where all are on, else all on. The next token follows."""
        state = self.generation
        every = all(getattr(state.optimizations, name) for name in names)
        self.set_optimizations(state.optimizations.without(*names) if every else state.optimizations.with_(*names))

    def set_optimizations(self, optimizations: Optimizations) -> None:
        """Set the switches; a running generation follows at its next token."""
        self.generation.switch(optimizations)
        self.submit(SetOptimizations(optimizations))

    def set_precision(self, precision: str) -> None:
        """Store the weights in another precision; a running generation follows at its next token."""
        self.generation.ask_precision(precision)
        self.submit(SetPrecision(precision))

    def fade_adapters(self) -> None:
        """A step less of the adapters, after none all of them; a running generation follows at its next token."""
        state = self.generation
        if not state.adapters:
            self.say("The model has no adapter to fade; start with one: sg-tui --adapter FOLDER")
            return
        amount = state.adapter_amount - FADE_STEP if state.adapter_amount > 0 else 100
        state.fade(amount)
        self.submit(SetAdapterScale(amount / 100))

    def set_sampling(self, name: str, value: float) -> None:
        """Change one setting; a running generation follows at its next token."""
        state = self.generation
        try:
            if name == "max_tokens":
                state.max_tokens = max(1, min(1_000_000, int(value)))
            elif name == "threads":
                state.set_threads(allowed_threads(min(int(value), MOST_THREADS)) or None)
                self.submit(SetThreads(state.threads))
            else:
                state.sampling = replace(state.sampling, **{name: value})  # type: ignore[arg-type]  # validated there
                self.submit(SetSampling(state.sampling))
        except SettingError as problem:
            self.say(str(problem), "warning")
        state.version += 1

    # ------------------------------------------------------------ what must not be lost

    def keep(self, theme: str) -> None:
        """Hand on what is new of the text, the prompt and the settings; costs nothing where nothing is."""
        self.keep_text()
        kept = self.present(theme)
        if kept != self._kept_preferences:
            self._kept_preferences = kept
            self.librarian.ask(lambda store: preferences.write(paths.config_dir(), kept))

    def present(self, theme: str) -> Preferences:
        """The settings as they are now."""
        state = self.generation
        return Preferences(
            mode=self.writing.mode,
            theme=theme,
            model=state.loaded.model if state.loaded else self.preferences.model,
            max_tokens=state.max_tokens,
            cast=self.writing.cast,
            sampling=state.sampling,
            precision=self.precision,
            one_precision=self.preferences.one_precision,
            keys=self.keys,
            pace=state.pace,
            toured=self.toured,
        )

    def keep_now_and_then(self, theme: str) -> None:
        """`keep`, unless that was done just before."""
        if (now := time.monotonic()) - self._kept_at >= KEPT_SECONDS:
            self._kept_at = now
            self.keep(theme)

    def keep_text(self) -> None:
        """Hand what is new of the text and the prompt to the library."""
        self._keeper.keep(self.writing, self.model, self.prompt)

    def _bring_back(self, store: Store) -> None:
        """On the librarian's thread: what a session that did not end well had on its screen."""
        place = store.take_place()
        if place is not None:
            text = None if marks.is_deleted(store, place.text) else store.load_text(place.text)
            self.came_back = Returned(place.text, text, place.prompt)
            self.wake()

    def take_up(self, writing: Writing) -> None:
        """Keep the present text and go on with another one."""
        self.keep_text()
        writing.plain = self.plain
        self.writing = writing
        self.generation.reason = ""

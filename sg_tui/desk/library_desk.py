"""What a person takes up from the library, or chooses in a list: texts, runs, models, settings, actions."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from sg_core import paths
from sg_core.engine.commands import SaveTraining
from sg_tui.desk.engine_link import EngineLink
from sg_tui.library.habits import Habits
from sg_tui.library.librarian import Librarian
from sg_tui.library.store import Store
from sg_tui.state.generation_state import GenerationState
from sg_tui.state.training_state import TrainingState
from sg_tui.state.writing import Writing


class LibraryDesk(EngineLink):
    """A desk's way to what is kept; the desk itself has the text, the model and the settings."""

    librarian: Librarian
    habits: Habits
    writing: Writing
    wanted: Writing | None
    generation: GenerationState
    training: TrainingState

    @abstractmethod
    def keep_text(self) -> None:
        """Hand what is new of the text to the library."""

    @abstractmethod
    def load(self, model: str) -> None:
        """Load a model."""

    @abstractmethod
    def set_precision(self, precision: str) -> None:
        """Store the weights in another precision."""

    @abstractmethod
    def set_pace(self, tokens_per_second: float) -> None:
        """Tokens at a pace that can be read, 0: as fast as they come."""

    @abstractmethod
    def set_sampling(self, name: str, value: float) -> None:
        """Change one setting of the sampling."""

    # ------------------------------------------------------------ texts, runs, models

    def open_text(self, id: str, chat: bool) -> None:
        """Go on with a kept text, as soon as it is read."""
        self.keep_text()
        cast = self.writing.cast

        def fetch(store: Store) -> None:  # on the librarian's thread
            manuscript = store.load_text(id)
            if manuscript is not None:
                self.wanted = Writing(chat, cast, manuscript, id)
                self.wake()

        self.librarian.ask(fetch)

    def new_text(self) -> None:
        """Go on with an empty text."""
        self.wanted = Writing(self.writing.chat, self.writing.cast)

    def open_run(self, name: str, folder: str) -> None:
        """Load the weights of a run: the newest, where it is under way."""
        if self.trains_in(folder):
            self.submit(SaveTraining(folder))
        self.load(name)

    def trains_in(self, folder: str) -> bool:
        """Whether the run in this folder is under way here."""
        run = self.training.run
        return (
            self.training.live and run is not None and bool(run.facts.out) and Path(run.facts.out or "") == Path(folder)
        )

    def choose_model(self, model: str) -> None:
        """Load a model, unless it is loaded as it is: a folder or a run may have changed since."""
        loaded = self.generation.loaded
        changes = Path(model).expanduser().is_dir() or (paths.runs_dir() / model).is_dir()
        if loaded is not None and loaded.model == model and not changes:
            self.say(f"{model} is loaded already.")
        else:
            self.load(model)

    # ------------------------------------------------------------ settings and actions

    def count_use(self, action: str) -> None:
        """Remember that an action was chosen in the palette."""
        self.habits.used(action)
        self.librarian.ask(lambda store: self.habits.write())

    def set_preference(self, name: str, value: object) -> None:
        """Change one of the settings that the engine follows. Its value was checked."""
        if name == "precision":
            self.set_precision(str(value))
        elif name == "pace" and isinstance(value, int | float):
            self.set_pace(value)
        elif isinstance(value, int | float):
            self.set_sampling(name, value)

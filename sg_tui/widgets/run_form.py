"""The form that starts a training run: Enter starts it as it stands."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Grid, Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Button, Input, Label, Static

from sg_core.config import GPT2Config
from sg_core.engine.commands import Train
from sg_core.engine.events import Loaded
from sg_core.errors import SettingError
from sg_core.training.settings import FINE_TUNE, PRESETS
from sg_tui.state.training_choice import (
    ADAPTER,
    FIELDS,
    SOURCES,
    command,
    defaults,
    settings,
    summary,
    texts,
)
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.choice import Choice
from sg_tui.widgets.line_input import LineInput

FIRST = next(iter(PRESETS))


class RunForm(VerticalScroll):
    """Says `Start` with a valid command; shows what is wrong otherwise."""

    can_focus = False

    class Start(Message):
        """A run was asked for."""

        def __init__(self, command: Train) -> None:
            super().__init__()
            self.command = command

    class GoOn(Message):
        """The earlier run that the form offers was asked for."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._loaded: Loaded | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(classes="form-row"):
            yield Label("data", classes="form-label")
            yield Choice(SOURCES, "tinyshakespeare", id="source")
        with Horizontal(classes="form-row", id="path-row"):
            yield Label("path", classes="form-label")
            yield LineInput(placeholder="of a text file or a folder", compact=True, id="path")
        with Horizontal(classes="form-row"):
            yield Label("model", classes="form-label")
            yield Choice(_models(None), FIRST, id="model")
        with Grid(id="fields"):
            for field in FIELDS:
                with Horizontal(classes="form-field"):
                    yield Label(field.label, classes="form-label")
                    yield LineInput(compact=True, id=field.name, classes="form-box")
        yield Static(id="summary", markup=False)
        yield Static(id="wrong", markup=False)
        with Horizontal(id="buttons"):
            yield Button("Start training", variant="primary", compact=True, id="start")
            yield Button("Train on python-docs instead", compact=True, id="python-docs")
            yield Button("Go on with the last run", compact=True, id="go-on")

    def on_mount(self) -> None:
        self.query_one("#path-row").display = False
        self.query_one("#python-docs").display = False
        self.query_one("#go-on").display = False
        self._fill()

    # ------------------------------------------------------------ what the screen tells

    def show(self, loaded: Loaded | None, go_on: str) -> None:
        """loaded: the model that can be fine-tuned. go_on: words for an earlier run to go on with, or none."""
        if loaded is not self._loaded:
            self._loaded = loaded
            for name in (FINE_TUNE, ADAPTER):
                self.query_one("#model", Choice).reword(name, _models(loaded)[name])
        button = self.query_one("#go-on", Button)
        button.display = bool(go_on)
        if go_on:
            button.label = safe_line(go_on, 60)

    def tell(self, wrong: str, offer_python_docs: bool = False) -> None:
        """Show why no run starts, and what can be done."""
        self.query_one("#wrong", Static).update(f"! {safe_line(wrong)}" if wrong else "")
        offer = self.query_one("#python-docs", Button)
        offer.display = offer_python_docs
        (offer if offer_python_docs else self.query_one("#start", Button)).focus()

    # ------------------------------------------------------------ what the person does

    @on(Choice.Changed, "#source")
    def _another_source(self) -> None:
        file = self._source == "file"
        self.query_one("#path-row").display = file
        if file:
            self.query_one("#path", LineInput).focus()

    @on(Choice.Changed, "#model")
    def _fill(self) -> None:
        """The boxes get what suits the model."""
        config = self._loaded.config if self._loaded else GPT2Config()
        for name, text in texts(defaults(self._model, config.n_ctx)).items():
            self.query_one(f"#{name}", LineInput).value = text

    @on(Input.Changed)
    def _sum_up(self) -> None:
        try:
            words = summary(settings(self._model, self._entered), self._config)
        except SettingError:
            words = ""
        self.query_one("#summary", Static).update(words)

    @on(Input.Submitted)
    @on(Button.Pressed, "#start")
    def start(self) -> None:
        """Start the run, or say what is wrong with it."""
        path = self.query_one("#path", LineInput).value
        loaded = self._loaded.model if self._loaded else None
        try:
            train = command(self._source, path, self._model, self._entered, loaded)
        except SettingError as error:
            self._point_at(str(error))
            return
        self.tell("")
        self.post_message(self.Start(train))

    @on(Button.Pressed, "#python-docs")
    def start_with_python_docs(self) -> None:
        """Start with the text that needs no network."""
        self.query_one("#source", Choice).take("python-docs")
        self.start()

    @on(Button.Pressed, "#go-on")
    def _go_on(self) -> None:
        self.post_message(self.GoOn())

    def _point_at(self, wrong: str) -> None:
        self.tell(wrong)
        for field in FIELDS:
            if wrong.startswith((f"{field.name} ", f"{field.label} ")):
                self.query_one(f"#{field.name}", LineInput).focus()
        if wrong.startswith("no file"):
            self.query_one("#path", LineInput).focus()

    # ------------------------------------------------------------ what stands in the form

    @property
    def _source(self) -> str:
        return self.query_one("#source", Choice).value

    @property
    def _model(self) -> str:
        return self.query_one("#model", Choice).value

    @property
    def _config(self) -> GPT2Config | None:
        if self._model in PRESETS:
            return PRESETS[self._model].config
        return self._loaded.config if self._loaded else None

    @property
    def _entered(self) -> dict[str, str]:
        return {field.name: self.query_one(f"#{field.name}", LineInput).value for field in FIELDS}


def _models(loaded: Loaded | None) -> dict[str, str]:
    new = {name: f"new, {name}  {preset.description}" for name, preset in PRESETS.items()}
    name = f"fine-tune {safe_line(loaded.model, 40)}" if loaded else "fine-tune the loaded model"
    words = (
        f"{loaded.config.parameter_count / 1e6:.1f} M parameters, as it is loaded now" if loaded else "not loaded yet"
    )
    adapter = f"adapter on {safe_line(loaded.model, 40)}" if loaded else "adapter on the loaded model"
    return new | {FINE_TUNE: f"{name}  {words}", ADAPTER: f"{adapter}  LoRA: the model stays as it is, in less memory"}

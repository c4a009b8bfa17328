"""The form that starts a training run: Enter starts it as it stands; what is wrong is told where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from textual import events, on
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
    BOXES,
    PATH,
    SOURCES,
    Box,
    boxes,
    command,
    defaults,
    mistakes,
    named,
    settings,
    summary,
    texts,
)
from sg_tui.state.training_plan import PlanState, Question
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.choice import Choice
from sg_tui.widgets.form_field import FormField
from sg_tui.widgets.plan_view import PlanView

FIRST = next(iter(PRESETS))
PATHS = Box(PATH, "texts", "files, folders and patterns such as books/*.txt; quote what has spaces")
HINTS = {
    "source": "↑ ↓ choose the text, Tab goes on, Enter starts the training",
    "model": "↑ ↓ choose a new model, or what is done to the one that is loaded",
    **{box.name: f"{box.label}: {box.help}" for box in (PATHS, *BOXES)},
}


class RunForm(VerticalScroll):
    """Says `Start` with a valid command, and `Altered` whenever something else stands in it."""

    can_focus = False

    class Start(Message):
        """A run was asked for."""

        def __init__(self, command: Train) -> None:
            super().__init__()
            self.command = command

    class GoOn(Message):
        """The earlier run that the form offers was asked for."""

    class Altered(Message):
        """What stands in the form is another training now."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._loaded: Loaded | None = None
        self._found_out: Mapping[str, str] = {}  # mistakes that only a look at the disk shows

    def compose(self) -> ComposeResult:
        with Horizontal(classes="form-row"):
            yield Label("data", classes="form-label")
            yield Choice(SOURCES, "tinyshakespeare", id="source")
        yield FormField(PATHS, "files, folders, books/*.txt")
        with Horizontal(classes="form-row"):
            yield Label("model", classes="form-label")
            yield Choice(_models(None), FIRST, id="model")
        with Grid(id="fields"):
            for box in BOXES:
                yield FormField(box)
        yield Static(id="form-hint", markup=False)
        yield Static(id="wrong", markup=False)
        with Horizontal(id="buttons"):
            yield Button("Start training", variant="primary", compact=True, id="start")
            yield Button("Train on python-docs instead", compact=True, id="python-docs")
            yield Button("Go on with the last run", compact=True, id="go-on")
        yield PlanView(id="form-plan")

    def on_mount(self) -> None:
        self._field(PATH).display = False
        self.query_one("#python-docs").display = False
        self.query_one("#go-on").display = False
        self._fill()

    # ------------------------------------------------------------ what the screen tells

    def show(self, loaded: Loaded | None, go_on: str, plan: PlanState) -> None:
        """loaded: the model that can be fine-tuned. go_on: words for an earlier run to go on with, or none."""
        if loaded is not self._loaded:
            self._loaded = loaded
            for name in (FINE_TUNE, ADAPTER):
                self.query_one("#model", Choice).reword(name, _models(loaded)[name])
            if self._model not in PRESETS:
                self._fill()
        button = self.query_one("#go-on", Button)
        button.display = bool(go_on)
        if go_on:
            button.label = safe_line(go_on, 60)
        if plan.answer is not None:  # what was found out before stands until there is a new answer
            self._found_out = plan.answer.trouble
        self._check()
        self.query_one(PlanView).show(plan, self._summary())

    def tell(self, wrong: str, offer_python_docs: bool = False) -> None:
        """Show why no run starts, and what can be done."""
        self._tell_wrong(wrong)
        offer = self.query_one("#python-docs", Button)
        offer.display = offer_python_docs
        (offer if offer_python_docs else self.query_one("#start", Button)).focus()

    @property
    def question(self) -> Question | None:
        """The training that stands in the form, if it is whole."""
        config = self._config
        try:
            sources = named(self._path) if self._source == "file" else (self._source,)
            training = settings(self._model, self._entered)
        except SettingError:
            return None
        if config is None or self._mistakes():
            return None
        shape = replace(config, n_ctx=training.context) if self._model in PRESETS else config
        return Question(sources, shape, training)

    # ------------------------------------------------------------ what the person does

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.query_one("#form-hint", Static).update(HINTS.get(event.widget.id or "", ""))

    @on(Choice.Changed, "#source")
    def _another_source(self) -> None:
        file = self._source == "file"
        self._field(PATH).display = file
        if file:
            self._field(PATH).line.focus()
        self._altered()

    @on(Choice.Changed, "#model")
    def _fill(self) -> None:
        """The boxes get what suits the model."""
        config = self._loaded.config if self._loaded else GPT2Config()
        asked = boxes(self._model)
        for name, text in texts(defaults(self._model, config.n_ctx)).items():
            self._field(name).line.value = text
        for box in BOXES:
            self._field(box.name).display = box in asked
        self._altered()

    @on(Input.Changed)
    def _altered(self) -> None:
        self._check()
        self._tell_wrong("")
        self.post_message(self.Altered())

    @on(Input.Submitted)
    @on(Button.Pressed, "#start")
    def start(self) -> None:
        """Start the run, or go to what is wrong with it."""
        loaded = self._loaded.model if self._loaded else None
        wrong = self._mistakes()
        if wrong:
            self._check()
            self._field(next(iter(wrong))).line.focus()
            return
        try:
            train = command(self._source, self._path, self._model, self._entered, loaded)
        except SettingError as error:
            self.tell(str(error))
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

    def _tell_wrong(self, wrong: str) -> None:
        line = self.query_one("#wrong", Static)
        line.display = bool(wrong)
        line.update(f"! {safe_line(wrong)}")

    # ------------------------------------------------------------ what stands in the form

    def _check(self) -> None:
        """Tell each mistake at its box."""
        wrong = {**self._found_out, **self._mistakes()}
        for field in self.query(FormField):
            field.tell(wrong.get(field.box.name, ""))

    def _mistakes(self) -> dict[str, str]:
        wrong = mistakes(self._model, self._entered, self._most_context)
        if self._source == "file":
            try:
                named(self._path)
            except SettingError as error:
                wrong = {PATH: str(error)} | wrong
        return wrong

    def _summary(self) -> str:
        """What the run amounts to, "" while the form is not whole."""
        try:
            return "" if self._mistakes() else summary(settings(self._model, self._entered), self._config)
        except SettingError:
            return ""

    def _field(self, name: str) -> FormField:
        return self.query_one(f"#{name}-field", FormField)

    @property
    def _source(self) -> str:
        return self.query_one("#source", Choice).value

    @property
    def _path(self) -> str:
        return self._field(PATH).line.value

    @property
    def _model(self) -> str:
        return self.query_one("#model", Choice).value

    @property
    def _most_context(self) -> int | None:
        """Of the model that is there; a new one sees as many tokens as it is trained on."""
        return self._loaded.config.n_ctx if self._loaded and self._model not in PRESETS else None

    @property
    def _config(self) -> GPT2Config | None:
        if self._model in PRESETS:
            return PRESETS[self._model].config
        return self._loaded.config if self._loaded else None

    @property
    def _entered(self) -> dict[str, str]:
        return {box.name: self._field(box.name).line.value for box in BOXES}


def _models(loaded: Loaded | None) -> dict[str, str]:
    new = {name: f"new, {name}  {preset.description}" for name, preset in PRESETS.items()}
    name = f"fine-tune {safe_line(loaded.model, 40)}" if loaded else "fine-tune the loaded model"
    words = (
        f"{loaded.config.parameter_count / 1e6:.1f} M parameters, as it is loaded now" if loaded else "not loaded yet"
    )
    adapter = f"adapter on {safe_line(loaded.model, 40)}" if loaded else "adapter on the loaded model"
    return new | {FINE_TUNE: f"{name}  {words}", ADAPTER: f"{adapter}  LoRA: the model stays as it is, in less memory"}

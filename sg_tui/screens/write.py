"""The Write view: complete text and chat, and see what every token costs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual import events, on
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget

from sg_core.engine.events import Event, Loaded
from sg_tui.desk import Desk, Returned
from sg_tui.keys import Scope, bindings
from sg_tui.screens.write_edit import EditActions
from sg_tui.screens.write_inside import InsideActions
from sg_tui.screens.write_settings import SettingsActions
from sg_tui.screens.write_tint import TintActions
from sg_tui.screens.write_tour import TourActions
from sg_tui.state.writing import Writing
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.alternatives_box import AlternativesBox
from sg_tui.widgets.cast_bar import CastBar
from sg_tui.widgets.compact_panel import CompactPanel
from sg_tui.widgets.continuations_view import ContinuationsView
from sg_tui.widgets.head_map import HeadMap
from sg_tui.widgets.inside_panel import InsidePanel
from sg_tui.widgets.optimizations_panel import OptimizationsPanel
from sg_tui.widgets.panel import Panel
from sg_tui.widgets.prompt import LONGEST_PASTE, Prompt
from sg_tui.widgets.sampling_panel import SamplingPanel
from sg_tui.widgets.side_panel import SidePanel
from sg_tui.widgets.template_choice import TemplateChoice
from sg_tui.widgets.text_editor import TextEditor
from sg_tui.widgets.text_view import TextView
from sg_tui.widgets.tour import Tour

FIGURES_SECONDS = 0.25  # between two drawings of figures that change with every token
SLIM = 80  # columns below which the opened panel has one column
ENDS = {
    "length": "max tokens reached · Enter goes on",
    "stopped": "stopped · Enter goes on",
    "end of text": "the model ended the text",
    "failed": "failed",
    "came back": "your last text · Ctrl+N begins a new one",
}


class WriteScreen(EditActions, InsideActions, TourActions, TintActions, SettingsActions):
    """Shows `desk.writing`, and lets the person steer it."""

    MODE = "write"
    AUTO_FOCUS = "#prompt"
    CSS_PATH: ClassVar = ["../styles/write.tcss", "../styles/branches.tcss", "../styles/inside.tcss"]
    BINDINGS = bindings("write", "small")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._figures_next = 0.0

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="write"):
            with Vertical(id="left"):
                yield TextView(id="text")
                yield Tour(id="tour")
                yield CompactPanel(id="compact")
                yield CastBar(self.desk.writing.cast, id="cast")
                yield Prompt(id="prompt")
                yield TextEditor(id="editor")
            yield SidePanel(id="side")
            yield InsidePanel(id="inside")
        yield ContinuationsView(id="several")
        yield AlternativesBox(id="alternatives")

    def on_mount(self) -> None:
        self.query_one(Prompt).focus()
        self._offer_templates()
        self._show_mode()

    def on_descendant_focus(self) -> None:
        super().on_descendant_focus()
        self.draw_all()

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self.set_class(event.size.width < SLIM, "-slim")

    def scopes(self) -> tuple[Scope, ...]:
        everywhere: tuple[Scope, ...] = ("write", "app")
        if self.has_class("-narrow"):
            everywhere = ("write", "small", "app")
        if isinstance(self.focused, TextEditor):
            return ("editor", *everywhere)
        if isinstance(self.focused, Prompt):
            return ("prompt", *everywhere)
        if isinstance(self.focused, TextView):
            return ("document", *everywhere)
        if isinstance(self.focused, ContinuationsView):
            return ("several", *everywhere)
        if isinstance(self.focused, HeadMap):
            return ("inside", *everywhere)
        if isinstance(self.focused, TemplateChoice):
            return ("choice", *everywhere)
        if isinstance(self.focused, OptimizationsPanel):
            return ("switches", *everywhere)
        if isinstance(self.focused, SamplingPanel):
            return ("sampling", *everywhere)
        return everywhere

    def labels(self) -> Mapping[str, str]:
        if self.desk.generation.running:
            return {"to_prompt": "stop"}
        if self.has_class("-panel-open"):
            return {"stop": "close"}
        if isinstance(self.focused, Prompt | HeadMap):
            return {"stop": "" if self.desk.writing.manuscript.empty else "walk"}
        return {"stop": "edit"}

    # ------------------------------------------------------------ events

    def handle(self, event: Event) -> None:
        super().handle(event)
        if isinstance(event, Loaded):
            self._offer_templates()

    def _offer_templates(self) -> None:
        loaded = self.desk.generation.loaded
        for cast in self.query(CastBar):  # none before it is composed, and when it is taken apart at the end
            if loaded is not None:
                cast.offer(loaded.templates)

    # ------------------------------------------------------------ drawing

    def draw(self) -> None:
        view = self.query_one(TextView)
        if not view.is_mounted:
            return
        if self.desk.came_back is not None:
            self._take_back(self.desk.came_back)
        self.take_wanted()
        state, manuscript = self.desk.generation, self.desk.writing.manuscript
        view.show(manuscript, state.running and self.desk.several is None)
        self.show_tint()
        self.show_tour()
        self.show_alternatives()
        self.show_several()
        self.set_class(self.walking, "-walking")
        self.show_inside(view)
        drawn = (
            state.version,
            self.desk.inspector.state.version,
            manuscript.version,
            len(manuscript.pieces),
            view.cursor,
            view.unseen,
            self.walking,
            self.desk.tint.version,
            self.desk.minute.version,
            self.size,
        )
        now = time.monotonic()
        if drawn == self._drawn or (self._drawn and state.running and now < self._figures_next):
            return
        self._drawn, self._figures_next = drawn, now + FIGURES_SECONDS
        self.query_one(CompactPanel).show(state)
        self.query_one(SidePanel).show(state, view.cursor_piece)
        self._show_frames(view)

    @on(Panel.Resized)
    def _draw_again(self) -> None:
        self._drawn = ()
        self.draw()

    def _show_frames(self, view: TextView) -> None:
        """What stands in the frames of the text and of the prompt."""
        state, writing = self.desk.generation, self.desk.writing
        title = safe_line(writing.manuscript.title, 40) or "a new text"
        state_word = "walk" if self.walking or self.choosing else "inside" if self.inspecting else "edit"
        view.border_title, looks = self.frame_words(f"{state_word} · {title}")
        view.border_subtitle = f"↓ {view.unseen} more · End" if view.unseen else looks or self.tint_legend(view)
        prompt = self.query_one(Prompt)
        full = f"the context was full, {state.kept:,} tokens are kept · " if state.moves else ""
        prompt.border_subtitle = f"{full}Esc stops" if state.running else ENDS.get(state.reason, "")

    def _show_mode(self) -> None:
        """The frame of the prompt says what typing means."""
        writing, prompt = self.desk.writing, self.query_one(Prompt)
        self.set_class(writing.chat, "-chat")
        view = self.query_one(TextView)
        view.chat = writing.chat
        view.refresh()
        if writing.chat:
            person, other = safe_line(writing.cast.person, 20), safe_line(writing.cast.model, 20)
            named = writing.cast.template.has_names
            words = f"{person} speaks, {other} answers" if named else "you speak, the model answers"
            prompt.placeholder = "what you say; empty lets the other one go on"
        else:
            words = "goes on with your words"
            prompt.placeholder = "type, then Enter; empty goes on"
        prompt.border_title = Content(words)
        self._drawn = ()

    # ------------------------------------------------------------ writing

    @on(Prompt.Sent)
    def _send(self, event: Prompt.Sent) -> None:
        typed = event.text
        if typed or not self.desk.generation.running:
            self.when_stopped(lambda: self._begin(typed))

    def _begin(self, typed: str) -> None:
        self.desk.writing.begin(typed, self.desk.generation.sampling.seed)
        self.go_on()

    def go_on(self) -> None:
        self.close_several()
        self.desk.generate()
        view = self.query_one(TextView)
        if self.walking:
            view.follow()
        else:
            view.go_to_end()
        self.draw_all()

    def action_stop(self) -> None:
        if self.desk.generation.running:
            self.desk.stop()
        elif self.has_class("-panel-open"):
            self.remove_class("-panel-open")
            self.set_focus(self.query_one(Prompt))
        elif isinstance(self.focused, Prompt | HeadMap):
            self.walk()
        else:
            self.edit()

    def action_retry(self) -> None:
        self.when_stopped(self._retry)

    def _retry(self) -> None:
        seed = (self.desk.generation.sampling.seed + 1) % (1 << 63)
        if not self.desk.writing.manuscript.begin_again(seed):
            self.desk.say("There is nothing to write again yet.")
            return
        self.desk.set_sampling("seed", seed)
        self.go_on()

    def action_undo(self) -> None:
        self.when_stopped(self._undo)

    def _undo(self) -> None:
        manuscript, prompt = self.desk.writing.manuscript, self.query_one(Prompt)
        given = manuscript.last_given
        if not manuscript.undo():
            self.desk.say("There is nothing to take back.")
        elif given is not None and given.typed and not manuscript.holds(given) and not prompt.text:
            prompt.put(given.typed)
        self.show_text()

    def action_redo(self) -> None:
        self.when_stopped(self._redo)

    def _redo(self) -> None:
        prompt, manuscript = self.query_one(Prompt), self.desk.writing.manuscript
        if not manuscript.redo():
            self.desk.say("Nothing was taken back.")
        elif (given := manuscript.last_given) is not None and prompt.text == given.typed:
            prompt.put("")  # what undo had put there stands in the text again
        self.show_text()

    def show_text(self) -> None:
        self.close_several()
        self.desk.generation.reason = ""
        self._drawn = ()
        self.desk.keep_text()
        self.draw_all()

    def take_up(self, writing: Writing) -> None:
        self.leave_editor()
        self.close_several()
        super().take_up(writing)
        self._show_mode()
        self.set_focus(self.query_one(Prompt))
        self.query_one(TextView).go_to_end()
        self.draw_all()

    # ------------------------------------------------------------ the frame and the panel

    @on(CastBar.Changed)
    def _recast(self, event: CastBar.Changed) -> None:
        self.desk.writing.cast = event.cast
        self._show_mode()

    def action_chat_or_complete(self) -> None:
        self.leave_editor()
        self.close_several()
        writing = self.desk.writing
        if not writing.chat and not writing.manuscript.empty and not writing.spoken:
            self.when_stopped(lambda: self.take_up(Writing(True, writing.cast)))
            self.desk.say("A chat is a text of its own: the one before is in the library, F5 shows it.")
            return
        writing.chat = not writing.chat
        self._show_mode()
        self.set_focus(self.query_one(Prompt))
        self.draw_all()

    @on(CompactPanel.Opened)
    def action_panel(self) -> None:
        self.toggle_class("-panel-open")
        self.set_focus(self.query_one(OptimizationsPanel if self.has_class("-panel-open") else Prompt))
        self._drawn = ()
        self.call_after_refresh(self._panel_placed)

    def _panel_placed(self) -> None:
        self.draw_all()
        if self.focused is not None:
            self.focused.scroll_visible(animate=False)

    # ------------------------------------------------------------ between prompt and text

    @on(Prompt.Changed, "#prompt")
    def _remember_prompt(self, event: Prompt.Changed) -> None:
        self.desk.prompt = event.text_area.text

    def _take_back(self, returned: Returned) -> None:
        """Show what the last session had on its screen, unless something stands here."""
        self.desk.came_back = None
        prompt = self.query_one(Prompt)
        if not self.desk.writing.manuscript.empty or prompt.text:
            prompt.remember(returned.prompt)
            self.desk.say("Your last text is in the library: F5 shows it.")
            return
        if returned.manuscript is not None:
            chat, cast = self.desk.writing.chat, self.desk.writing.cast
            self.take_up(Writing(chat, cast, returned.manuscript, returned.id))
            self.desk.generation.reason, self._drawn = "came back", ()
        prompt.put(returned.prompt)

    @on(Prompt.Passed)
    def _passed(self, event: Prompt.Passed) -> None:
        if event.action == "undo":
            self.action_undo()
        else:
            self.action_redo()

    @on(Prompt.Shortened)
    def _shortened(self, event: Prompt.Shortened) -> None:
        self.desk.say(f"The paste has {event.length:,} characters; the first {LONGEST_PASTE:,} were taken.", "warning")

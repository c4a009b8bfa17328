"""What the Write view shows of the inside of the model, and what is changed there."""

from __future__ import annotations

import json

from textual import on
from textual.content import Content

from sg_tui.desk import Desk
from sg_tui.screens.save_dialog import SaveDialog
from sg_tui.screens.write_walk import WalkActions
from sg_tui.state.inside_figures import figures
from sg_tui.state.inside_state import STEP, changes_text, part_name, shade_level
from sg_tui.state.piece import Piece
from sg_tui.terminal.textsafe import safe_line
from sg_tui.widgets.alternatives_box import AlternativesBox
from sg_tui.widgets.head_map import HeadMap
from sg_tui.widgets.inside_panel import InsidePanel
from sg_tui.widgets.lens_table import quoted
from sg_tui.widgets.prompt import Prompt
from sg_tui.widgets.shading import LEVELS, Shade
from sg_tui.widgets.text_view import TextView


class InsideActions(WalkActions):
    """A view with a text and the panel beside it that looks inside."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._drawn: tuple[object, ...] = ()  # what the figures and frames were drawn of; (): they are drawn at once
        self._shaded: tuple[object, ...] = ()
        self._looking = False  # keys act on the map, or will do so in a moment

    def action_inside(self) -> None:
        """To the map; from there back to where one was."""
        inspector, view = self.desk.inspector, self.query_one(TextView)
        closing = self.inspecting
        inspector.show(not closing)
        view.looked_into = self._looking = not closing
        self.set_class(not closing, "-inside")
        self.set_class(not closing, "-looking")
        if closing:
            self.set_focus(self.query_one(Prompt) if view.cursor is None else view)
        else:
            self.remove_class("-panel-open")
            self.set_focus(self.query_one(HeadMap))  # at once: the next key is already for the map
        self.call_after_refresh(self.draw_all)

    def on_descendant_focus(self) -> None:
        self._looking = self.inspecting

    @property
    def inspecting(self) -> bool:
        """Whether keys act on the map."""
        return isinstance(self.focused, HeadMap)

    def show_inside(self, view: TextView) -> None:
        """Ask for what is to be seen, and show what is known."""
        inspector, state = self.desk.inspector, self.desk.inspector.state
        self.set_class(self._looking, "-looking")
        generation, choice = self.desk.generation, self.query_one(AlternativesBox).choice
        piece = view.cursor_piece
        if self.walking and choice is not None and choice.number is not None and piece is not None and piece.token:
            state.rival = None if choice.here else piece.token.top[choice.number][0]
        inspector.look(self.desk.writing, view.cursor, generation.running, generation.precision)
        pieces = self.desk.writing.manuscript.pieces
        shaded = (state.shown, state.looked, state.place, state.layer, state.head)
        if shaded != self._shaded:
            self._shaded = shaded
            seen = state.seen(pieces) if state.shown else []
            shades = [Shade(one.piece, one.start, one.stop, shade_level(one.share)) for one in seen]
            view.set_shade([*shades, *self._chosen_part(pieces)] if state.shown else [])
        if state.shown:
            self.query_one(InsidePanel).show(state)

    def _chosen_part(self, pieces: list[Piece]) -> list[Shade]:
        """Of a piece that is no token, the token that is looked into."""
        state = self.desk.inspector.state
        if state.looked is None or state.place >= len(pieces) or pieces[state.place].token is not None:
            return []
        start = state.begins(pieces)
        return [Shade(state.place, start, start + len(state.looked.text), LEVELS)]

    def frame_words(self, title: str) -> tuple[Content, Content]:
        """What stands in the frame of the text: its title or what is changed, and where the chosen head looks."""
        state = self.desk.inspector.state
        changes = changes_text(state.scales)
        self.query_one(TextView).set_class(bool(changes), "-changed")
        changed = Content.styled(f"{changes}: not the model's own text", "bold $error")
        words = changed if changes else Content(title)
        if not state.shown or state.looked is None or state.head is None:
            return words, Content()
        found = ", ".join(f"{quoted(text)} {share:.0%}" for text, share in state.strongest(3))
        name = part_name(state.layer, state.head)
        return words, Content(f"shaded: where {name} looks from {quoted(state.looked.text)}: {found or 'nowhere much'}")

    @on(HeadMap.Acted)
    def _acted(self, event: HeadMap.Acted) -> None:
        inspector, state = self.desk.inspector, self.desk.inspector.state
        factor = state.factor(state.layer, state.head)
        match event.name:
            case "select":
                state.move(*event.step)
            case "mute":
                inspector.scale(1.0 if factor == 0.0 else 0.0)
            case "scale":
                inspector.scale(factor + STEP * event.value)
            case "back":
                inspector.scale(1.0)
            case "restore":
                inspector.restore()
            case "why":
                state.why = not state.why
            case "rival":
                self._next_rival()
            case "token":
                if not state.step(int(event.value), self.desk.writing.manuscript.pieces):
                    self.query_one(TextView).step_cursor(int(event.value))
            case "figures":
                self._save_figures()
        state.version += 1
        self._drawn = ()
        self.draw_all()

    def _next_rival(self) -> None:
        """Compare with the next of the token's alternatives, by their likelihood."""
        state, pieces = self.desk.inspector.state, self.desk.writing.manuscript.pieces
        if state.looked is None or state.looked.inside.why is None or state.place >= len(pieces):
            return
        token, last = pieces[state.place].token, state.looked.inside.lens.rows[-1]
        top = [last.best, last.second] if token is None else [id for id, _ in token.top]
        others = [id for id in top if id != state.looked.inside.lens.token]
        if others:
            now = state.looked.inside.why.rival
            state.rival = others[(others.index(now) + 1) % len(others)] if now in others else others[0]
            state.why = True

    def _save_figures(self) -> None:
        state = self.desk.inspector.state
        if state.looked is None:
            self.desk.say("Nothing is shown yet: choose a token that the model wrote.")
            return
        text = json.dumps(figures(state), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        name = f"inside {safe_line(state.looked.text, 20)}"

        def saved(path: object) -> None:
            if path is not None:
                self.desk.say(f"Saved to {path}")

        self.app.push_screen(SaveDialog(lambda suffix: text, name, ".json", what="what is seen inside"), saved)

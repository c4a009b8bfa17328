"""The first minute: six steps on the shipped model, each of which waits for the key it names. No widgets."""

from __future__ import annotations

from collections.abc import Sequence

from sg_tui.figures import milliseconds
from sg_tui.state.effects import Effect
from sg_tui.state.generation_state import GenerationState
from sg_tui.state.piece import Piece

BEGINNING = "ROMEO:"
STEPS = 6
TOLD = 8  # pairs of tokens from which the number of the second step is told
SWITCH = "kv_cache"


class FirstMinute:
    """Where one is. step: 0 to STEPS - 1, None when it is over or has not begun."""

    def __init__(self) -> None:
        self.step: int | None = None
        self.version = 0
        self._request = 0  # of the generation before
        self._taken = 0  # alternatives in the text before

    def begin(self, state: GenerationState, pieces: Sequence[Piece]) -> None:
        """From the first step on."""
        self._go(0, state, pieces)

    def end(self) -> None:
        """It is over, or was skipped."""
        self.step = None
        self.version += 1

    def look(self, state: GenerationState, pieces: Sequence[Piece], *, muted: bool) -> None:
        """Go on when what the step waits for has been done. muted: a part of the model is changed now."""
        done = {
            0: state.request > self._request,
            1: not getattr(state.optimizations, SWITCH),
            2: getattr(state.optimizations, SWITCH),
            3: _taken(pieces) > self._taken,
            4: muted,
            5: state.request > self._request,
        }
        if self.step is None or not done[self.step]:
            return
        if self.step == STEPS - 1:
            self.end()
        else:
            self._go(self.step + 1, state, pieces)

    def words(self, state: GenerationState, chart: str = "on the right") -> str:
        """What to do now, and what came of it. chart: where the line of ms/token is seen."""
        going_on = "" if state.running else " Enter goes on with the text."
        match self.step:
            case 0:
                return f"“{BEGINNING}” stands in the prompt. Enter: the model goes on with it, at a pace you can read."
            case 1:
                return (
                    f"{_speed(state)} Alt+1: each token then computes the keys and values of all before it again. "
                    f"Watch the line of ms/token {chart}.{going_on}"
                )
            case 2:
                return f"{_saved(state)} Alt+1 again: they are kept.{going_on if not _effect(state) else ''}"
            case 3:
                first = "Esc stops the model, Esc again" if state.running else "Esc"
                told = f"{_saved(state)} " if (effect := _effect(state)) and not effect.unsure else ""
                return (
                    f"{told}{first} chooses a word; ← → another one. What else could it have been? "
                    "↓ chooses one, Enter takes it, and the text goes on from there."
                )
            case 4:
                return (
                    "Alt+I looks inside: a map shows what each head of the model does. The arrows choose one, m mutes "
                    f"it, and the text goes on without it.{going_on}"
                )
            case 5:
                return (
                    "Muted: what comes now is not the model's own text; r in the map undoes it, Alt+I closes it. That "
                    "is all, and the text is yours. F7 tints it by surprise, F8 is full speed, F3 trains a model of "
                    "your own, F4 lets two settings race, F1 knows the rest. Enter goes on."
                )
        return ""

    def _go(self, step: int, state: GenerationState, pieces: Sequence[Piece]) -> None:
        self.step, self._request, self._taken = step, state.request, _taken(pieces)
        self.version += 1


def _taken(pieces: Sequence[Piece]) -> int:
    return sum(piece.author == "taken" for piece in pieces)


def _speed(state: GenerationState) -> str:
    figure = state.speed.figure
    return f"{milliseconds(figure.ms)} ms a token, whatever the pace." if figure else "Here it comes."


def _effect(state: GenerationState) -> Effect | None:
    effect = state.effects.of(state.optimizations, SWITCH)
    return effect if effect is not None and effect.n >= TOLD else None


def _saved(state: GenerationState) -> str:
    """The number of the second step."""
    effect = _effect(state)
    if effect is None:
        return "A few tokens more, and the number stands here."
    if effect.unsure:
        return "The machine is too busy to tell the number."
    growing = ", and growing with the text" if effect.times >= 1.05 else ""
    return f"Without the KV cache × {effect.times:.1f} at position {effect.position}{growing}."

"""What is known of the inside of the model: the token looked into, what heads do, what is changed. Plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sg_core.engine.commands import Scale
from sg_core.engine.events import (
    Event,
    Failed,
    HeadsMeasured,
    InterventionsSet,
    Loaded,
    Looked,
    LossCompared,
    Phase,
    TokenEvent,
)
from sg_tui.state.manuscript import Piece

STEP = 0.25  # of a factor
MOST = 4.0
LOOK_COMMANDS = ("Look", "MeasureHeads", "SetProbes", "CompareLoss")
SHADES = (0.03, 0.08, 0.2, 0.4)  # shares of attention from which a token is shaded more


@dataclass(frozen=True, slots=True)
class Seen:
    """A part of the text that a head looked at. piece: its index; start, stop: characters of the piece's raw text."""

    piece: int
    start: int
    stop: int
    share: float


class InsideState:
    """`version` grows with every change. layer, head: the chosen part of the map; head None is the layer's MLP."""

    def __init__(self) -> None:
        self.shown = False  # whether someone looks
        self.shape = (0, 0)  # layers and heads of the model, before there is one (0, 0)
        self.following = False  # whether the newest token is looked into while tokens come
        self.elsewhere = False  # though another one is chosen, which the model does not see meanwhile
        self.layer = 0
        self.head: int | None = 0
        self.looked: Looked | None = None
        self.place = 0  # the piece that it is about
        self.back = 0  # of a piece that is no token, how many of its tokens before its last one
        self.measured: HeadsMeasured | None = None
        self.scales: tuple[Scale, ...] = ()  # in force
        self._compared: LossCompared | None = None
        self.wished: tuple[Scale, ...] = ()  # asked for last
        self.rival: int | None = None  # the token that the looked at one is compared with; None: the likeliest other
        self.why = False  # whether the parts of the difference are shown, not the lens
        self.trouble = ""  # why the last look showed nothing
        self.waiting = ""  # for what looking waits
        self.price = 0.0  # ms a token that looking at the newest ones costs, a running mean
        self.version = 0
        self._unseen = 0  # tokens since the last look
        self._highest: list[list[float]] = []  # of the newest look: each head's largest share

    # ------------------------------------------------------------ events

    def take(self, event: Event) -> bool:
        """Take what belongs to looking; False when nothing changed."""
        match event:
            case Phase():
                waits = event.name == "preparing"
                words = f"what looking needs is being compiled: {event.done} of {event.total} done" if waits else ""
                if words == self.waiting:
                    return False
                self.waiting = words
            case HeadsMeasured():
                self.measured = event
            case LossCompared():
                self._compared = event
            case InterventionsSet(scales=scales):
                self.scales = scales
            case Loaded(config=config):
                self._forget()
                self.shape = (config.n_layer, config.n_head)
            case Failed(command="SetInterventions"):
                self.wished = self.scales
            case Failed(command="Look", message=message):
                self.looked, self.trouble = None, message
            case TokenEvent():
                self._unseen += self.following
                return False
            case _:
                return False
        self.version += 1
        return True

    def show(self, event: Looked, place: int) -> None:
        """Take the inside of the token that piece `place` is."""
        self.looked, self.place, self.trouble = event, place, ""
        self._highest = event.inside.patterns.max(axis=2).tolist()
        self.version += 1
        if event.live:
            price = event.ms / max(1, self._unseen)
            self.price = price if self.price == 0.0 else 0.8 * self.price + 0.2 * price
            self._unseen = 0

    def begins(self, pieces: Sequence[Piece]) -> int:
        """Where in its piece the token that was looked into begins."""
        rest = 0 if self.looked is None else self.looked.rest
        if not rest or self.place >= len(pieces) or pieces[self.place].token is not None:
            return 0
        return max(0, len(pieces[self.place].text) - rest)

    def step(self, by: int, pieces: Sequence[Piece]) -> bool:
        """To the token before or after, within a piece that is no token; False where its edge is reached."""
        self.rival = None
        within = self.begins(pieces) > 0 if by < 0 else self.back > 0
        if within:
            self.back -= by
        return within

    def leave(self) -> None:
        """Another text: what was seen of the one before is not shown beside it."""
        self.looked = self.measured = self.rival = self._compared = None
        self.version += 1

    def _forget(self) -> None:
        """Another model: nothing of the one before holds."""
        self.looked = self.measured = self.rival = self._compared = None
        self.scales = self.wished = ()
        self.layer, self.head, self.price, self.place = 0, 0, 0.0, 0

    # ------------------------------------------------------------ the map

    def move(self, layers: int, heads: int) -> None:
        """Choose another part: the one so many rows and columns away; right of the last head stands the MLP."""
        rows, columns = self.shape
        if not rows:
            return
        column = columns if self.head is None else self.head
        column = max(0, min(columns, column + heads))
        self.layer = max(0, min(rows - 1, self.layer + layers))
        self.head = None if column == columns else column
        self.version += 1

    def factor(self, layer: int, head: int | None) -> float:
        """What a part is multiplied by, as it was asked for."""
        return next((one.factor for one in self.wished if (one.layer, one.head) == (layer, head)), 1.0)

    @property
    def compared(self) -> LossCompared | None:
        """What the changes in force do to the loss of the text; None where nothing is changed, or not known yet."""
        known = self._compared
        return known if known is not None and self.scales and known.scales == self.scales else None

    def scaled(self, factor: float) -> tuple[Scale, ...]:
        """All that is wished, with the chosen part times `factor`; it becomes the wish."""
        factor = max(0.0, min(MOST, factor))
        here = (self.layer, self.head)
        others = [one for one in self.wished if (one.layer, one.head) != here]
        if factor != 1.0:
            others.append(Scale(*here, factor))
        self.wished = tuple(sorted(others, key=lambda one: (one.layer, one.head is None, one.head or 0)))
        self.version += 1
        return self.wished

    # ------------------------------------------------------------ the chosen head and token

    def pattern(self) -> list[float]:
        """How much the chosen head looked at each token before; none of an MLP."""
        if self.looked is None or self.head is None:
            return []
        weights: list[float] = self.looked.inside.patterns[self.layer, self.head].tolist()
        return weights

    def highest(self, layer: int, head: int) -> float:
        """The largest share of a head's attention, from the token; 0 before one was looked at."""
        return self._highest[layer][head] if self.looked is not None else 0.0

    def seen(self, pieces: Sequence[Piece]) -> list[Seen]:
        """The parts of the text that the chosen head looked at from the token, nearest first.

        Tokens end where it begins, and go back over as many pieces as they have characters.
        """
        found: list[Seen] = []
        if self.looked is None:
            return found
        piece, end = self.place, self.begins(pieces)
        if end == 0:
            piece -= 1
            end = len(pieces[piece].text) if 0 <= piece < len(pieces) else 0
        for text, share in zip(reversed(self.looked.texts), reversed(self.pattern()), strict=False):
            left = len(text)
            while left > 0 and piece >= 0:
                start = max(0, end - left)
                if share >= SHADES[0] and start < end:
                    found.append(Seen(piece, start, end, share))
                left -= end - start
                end = start
                if end == 0:
                    piece -= 1
                    end = len(pieces[piece].text) if piece >= 0 else 0
        return found

    def strongest(self, count: int) -> list[tuple[str, float]]:
        """The tokens the chosen head looked at most, and how much."""
        if self.looked is None:
            return []
        pairs = sorted(zip(self.looked.texts, self.pattern(), strict=False), key=lambda pair: -pair[1])
        return [pair for pair in pairs[:count] if pair[1] >= SHADES[0]]


def shade_level(share: float) -> int:
    """0 (hardly looked at) to 4."""
    return sum(share >= least for least in SHADES)


def part_name(layer: int, head: int | None) -> str:
    """A part of the map in words."""
    return f"MLP {layer}" if head is None else f"head {layer}.{head}"


def changes_text(scales: Sequence[Scale], most: int = 3) -> str:
    """What is changed, in words, at most so many: "head 1.2 muted, MLP 0 x 0.5"; "" for nothing."""
    told = [
        f"{part_name(one.layer, one.head)} {'muted' if one.factor == 0 else f'× {one.factor:g}'}"
        for one in scales[:most]
    ]
    return ", ".join(told) + (f" and {len(scales) - most} more" if len(scales) > most else "")

"""What is known of a race: two settings on one prompt and seed, fed by the engine's events. No widgets."""

from __future__ import annotations

import math
from typing import Any

from sg_core.engine.commands import Race
from sg_core.engine.events import Done, Event, Failed, Phase, Raced
from sg_core.measure.race import BLOCK, PAIRS, Lap, Standings
from sg_core.measure.setting import Setting
from sg_core.network.optimizations import USUAL
from sg_core.network.precisions import PRECISIONS
from sg_tui.state.effects import UNSURE

_EXACT, *_REDUCED = PRECISIONS
_CHANGES = (*(f"-{name}" for name in USUAL), "-all", "+lookup", "+draft")
RIGHT_SIDES = (*(f"{_EXACT}{change}" for change in _CHANGES), *_REDUCED)


class RaceState:
    """The last race, and the setting that the next one runs against the present one."""

    def __init__(self) -> None:
        self.command: Race | None = None
        self.standings = Standings()
        self.texts = ["", ""]  # raw
        self.differing: tuple[tuple[int, int], ...] = ()  # of each text the characters of the first token that differs
        self.running = False
        self.reason = self.failure = ""
        self.phase = Phase("idle")
        self.version = 0
        self._right = 0

    def right(self, left: Setting) -> Setting:
        """What is chosen to run against `left`: another one than that."""
        chosen = Setting.named(RIGHT_SIDES[self._right])
        return Setting.named(PRECISIONS[0]) if chosen == left else chosen

    def choose(self, by: int) -> None:
        """Another one to run against."""
        self._right = (self._right + by) % len(RIGHT_SIDES)
        self.version += 1

    def asked(self, command: Race) -> None:
        """`command` is about to be submitted."""
        bursts = command.left.optimizations.bursts or command.right.optimizations.bursts
        self.command, self.standings, self.texts = command, Standings(bursts), ["", ""]
        self.running, self.reason, self.failure, self.phase = True, "", "", Phase("starting")
        self.differing = ()
        self.version += 1

    def records(self) -> list[dict[str, Any]]:
        """A row a token for a file; the last one tells the standings."""
        command, standings = self.command, self.standings
        if command is None:
            return []
        rows = [lap_record(number, lap) for number, lap in enumerate(standings.laps, 1)]
        return [*rows, summary(command, standings)]

    def take(self, event: Event) -> bool:
        """Take what belongs to the running race; False when nothing changed."""
        if not self.running or self.command is None:
            return False
        match event:
            case Raced(request=request, lap=lap) if request == self.command.request:
                self.standings.add(lap)
                if not self.differing and lap.ids[0] != lap.ids[1]:
                    spans = zip(self.texts, lap.texts, strict=True)
                    self.differing = tuple((len(before), len(before) + len(text)) for before, text in spans)
                self.texts = [before + text for before, text in zip(self.texts, lap.texts, strict=True)]
            case Done(request=request, reason=reason) if request == self.command.request:
                self.running, self.reason = False, reason
            case Failed(request=request, message=message) if request == self.command.request:
                self.running, self.failure = False, message
            case Phase():
                self.phase = event
            case _:
                return False
        self.version += 1
        return True


def summary(command: Race, standings: Standings) -> dict[str, Any]:
    """What a race tells in the end; times of the right one by those of the left one."""
    lead = standings.lead
    return {
        "left": command.left.name, "right": command.right.name, "tokens": len(standings.laps),
        "left_ms": standings.ms(0), "right_ms": standings.ms(1), "statistic": "mean" if standings.bursts else "median",
        "speed_up": lead and lead.times, "low": lead and lead.low, "high": lead and lead.high, "pairs": lead and lead.n,
        "first_difference": standings.first_difference, "largest_logit_difference": standings.largest_difference,
    }  # fmt: skip


def lap_record(number: int, lap: Lap) -> dict[str, Any]:
    """One token of each, `number` from 1."""
    return {
        "token": number, "left_text": lap.texts[0], "right_text": lap.texts[1], "left_ms": lap.ms[0],
        "right_ms": lap.ms[1], "logit_difference": lap.difference if math.isfinite(lap.difference) else None,
    }  # fmt: skip


def lead_words(standings: Standings) -> str:
    """How much longer the right one takes: "× 2.4 (2.2–2.6, n 119): the left one is faster"."""
    lead = standings.lead
    if lead is None:
        return f"a speed-up is told after {PAIRS * (BLOCK if standings.bursts else 1)} tokens"
    times, low, high, winner = lead.times, lead.low, lead.high, "left"
    if times < 1:
        times, low, high, winner = 1 / times, 1 / high, 1 / low, "right"
    if low <= 1.0:
        return f"no clear winner: × {lead.times:.2f} (half within {lead.low:.2f}–{lead.high:.2f}, n {lead.n})"
    busy = "; the machine was busy" if high - low > UNSURE * times else ""
    return f"the {winner} one is × {times:.2f} as fast (half within {low:.2f}–{high:.2f}, n {lead.n}){busy}"


def same_words(standings: Standings) -> str:
    """Whether the texts are the same, and how far their logits differ."""
    difference = f"largest difference of logits {standings.largest_difference:.3g}"
    if standings.first_difference is None:
        return f"the same {len(standings.laps)} tokens, {difference}"
    return f"token {standings.first_difference} is the first that differs, {difference} up to it"

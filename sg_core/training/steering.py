"""What is done to a run while it trains: which settings may change, and what a resume has to do again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sg_core.errors import SettingError
from sg_core.storage.run_log import RunEvent, still_to_come
from sg_core.training.settings import TrainingConfig

LIVE = ("learning_rate", "final_lr_fraction", "schedule", "decay_fraction", "dropout")  # settings that may change


def changed(config: TrainingConfig, values: Mapping[str, Any]) -> TrainingConfig:
    """The settings with others of LIVE. Raises SettingError for any other one, and where nothing would change."""
    fixed = [name for name in values if name not in LIVE]
    if fixed:
        raise SettingError(f"{fixed[0]} can't change while a run trains; {', '.join(LIVE)} can")
    after = dataclasses.replace(config, **values)
    if after == config:
        raise SettingError("the run has these settings already: nothing was changed")
    return after


class Steering:
    """done: all events that acted on the run, oldest first; coming: those that a resume still has to do again.

    What is done anew while some are coming takes their place.
    """

    def __init__(self, done: Iterable[RunEvent] = (), log: Sequence[RunEvent] = ()) -> None:
        self.done = list(done)
        self.coming = still_to_come(log, self._newest)
        self._last = max((event.number for event in (*self.done, *log)), default=0)

    @property
    def _newest(self) -> int:
        return self.done[-1].number if self.done else 0

    def next(self, step: int, kind: str, values: Mapping[str, Any]) -> RunEvent:
        """What would be the next event, of now."""
        return RunEvent(self._last + 1, self._newest, step, kind, dict(values))

    def due(self, step: int) -> RunEvent | None:
        """The next one to be done again, if its step has come."""
        return self.coming[0] if self.coming and self.coming[0].step == step else None

    def add(self, event: RunEvent) -> None:
        """It has acted."""
        self.coming = self.coming[1:] if event in self.coming[:1] else []
        self.done.append(event)
        self._last = max(self._last, event.number)

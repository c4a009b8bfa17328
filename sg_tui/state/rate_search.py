"""A search for a learning rate, as far as its events have come. Plain data."""

from __future__ import annotations

from sg_core.engine.events import RateFound
from sg_core.training.results import Trial


class RateSearch:
    """trials: of the newest search, in order; found: its end, None while it goes on. version: grows with each."""

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.found: RateFound | None = None
        self.version = 0

    def begin(self) -> None:
        """Another search was asked for."""
        self.trials, self.found = [], None
        self.version += 1

    def take(self, event: Trial | RateFound) -> None:
        """A rate was tried, or the search is at its end."""
        if isinstance(event, RateFound):
            self.found = event
        else:
            self.trials.append(event)
        self.version += 1

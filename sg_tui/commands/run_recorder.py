"""What a run of the command line tells, kept beside its checkpoints, so that the app can show and compare it."""

from __future__ import annotations

from pathlib import Path

from sg_core import paths
from sg_core.engine.commands import Train
from sg_core.engine.events import Event, Saved, TrainingEnded
from sg_tui.library.run_records import RunKeeper, load_record
from sg_tui.state.training_state import TrainingState


class RunRecorder:
    """Takes the events of the run in `folder`; what an earlier part of it told stays, up to where it goes on."""

    def __init__(self, command: Train, folder: Path) -> None:
        self._state = TrainingState()
        self._keeper = RunKeeper(paths.runs_dir)
        earlier = load_record(folder) if command.resume is not None else None
        self._state.remember([earlier] if earlier is not None else [])
        self._state.asked(command)

    def take(self, event: Event) -> None:
        """Note an event; the curve is written with every checkpoint and at the end."""
        self._state.take(event)
        if isinstance(event, Saved | TrainingEnded) and self._state.run is not None:
            self._keeper.keep(self._state.run, now=True)

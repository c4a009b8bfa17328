"""The curve of a training run beside its checkpoints, so that a later session can show it and draw on."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from sg_core.config import GPT2Config
from sg_core.engine.events import Sample, Saved, TrainingStarted
from sg_core.errors import CheckpointError
from sg_core.storage.run_log import read_events, still_to_come
from sg_core.training.results import Evaluation
from sg_core.training.settings import TrainingConfig
from sg_tui.state.training_run import Run

NAME = "curve.json"
FORMAT = 1
SECONDS_BETWEEN = 5.0  # writes of a running run's curve
MOST_POINTS = 4000  # of a curve that is kept; a longer one is thinned evenly
MOST_BYTES = 4 << 20  # of a file that is read
_FARTHEST = 1 << 53  # step or second: beyond it not every whole number is a float
EVALUATIONS, RUNS = 500, 6  # kept of a run; read of a folder of runs
SAMPLES, SAMPLE_CHARACTERS = 40, 2000  # kept of a run, evenly spread; of a sample


class RunKeeper:
    """Writes and reads curves off the screen's thread. `found` holds what was read, drained by the screen."""

    def __init__(self, runs: Callable[[], Path], clock: Callable[[], float] = time.monotonic) -> None:
        self.found: deque[list[Run]] = deque()
        self._runs = runs
        self._clock = clock
        self._next = 0.0

    def look(self) -> None:
        """Read the runs of earlier sessions."""
        threading.Thread(target=self._look, name="sg-curves", daemon=True).start()

    def _look(self) -> None:
        self.found.append(load_records(self._runs()))

    def keep(self, run: Run, now: bool = False) -> None:
        """Write the run's curve, unless that was done just before; `now`: in any case, and before returning."""
        if not run.facts.out or not len(run.curve) or (not now and self._clock() < self._next):
            return
        self._next = self._clock() + SECONDS_BETWEEN
        path, text = Path(run.facts.out) / NAME, json.dumps(_to_json(run), separators=(",", ":"))
        if now:
            _write(path, text)
        else:
            threading.Thread(target=_write, args=(path, text), name="sg-curves", daemon=True).start()


def _write(path: Path, text: str) -> None:
    """Whole or not at all. A curve is a convenience, losing it loses no training: a failure is no error."""
    unfinished = path.with_name(f".{NAME}.{os.getpid()}-{threading.get_ident()}")
    try:
        unfinished.write_text(text, encoding="ascii")
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()


def load_records(runs: Path, most: int = RUNS) -> list[Run]:
    """The newest runs in the folder `runs` that have a readable curve, oldest first. Anything else is passed over."""
    found: list[Run] = []
    for folder in _newest(runs):
        if (run := load_record(folder)) is not None:
            found.append(run)
        if len(found) >= most:
            break
    return found[::-1]


def load_record(folder: Path) -> Run | None:
    """The run in a folder; None where it has no readable curve."""
    with suppress(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        path = folder / NAME
        if path.is_file() and path.stat().st_size <= MOST_BYTES:
            return _from_json(json.loads(path.read_text(encoding="ascii")), folder)
    return None


def _newest(runs: Path) -> list[Path]:
    """Folders of runs, newest first: their names begin with the date."""
    with suppress(OSError):
        return sorted((folder for folder in runs.iterdir() if folder.is_dir()), reverse=True)
    return []


def _to_json(run: Run) -> dict[str, Any]:
    curve, facts = run.curve, run.facts
    stride = math.ceil(len(curve) / MOST_POINTS)
    last = len(curve) - 1
    kept = sorted({*range(0, len(curve), stride), last})
    return {
        "format": FORMAT,
        "model": run.model,
        "facts": {**asdict(facts), "out": None, "events": []},
        "steps": [int(curve.steps[i]) for i in kept],
        "losses": [_number(curve.losses[i]) for i in kept],
        "seconds": [round(curve.seconds[i], 2) for i in kept],
        "evaluations": [
            [one.step, _number(one.val_loss), _number(one.val_loss_per_char), round(at, 2)]
            for one, at in zip(run.evaluations, run.evaluation_seconds, strict=True)
        ][-EVALUATIONS:],
        "samples": [[one.step, one.text[:SAMPLE_CHARACTERS]] for one in _spread(run.samples)],
        "saved": run.saved.step if run.saved else None,
        "first_step": facts.first_step,
    }


def _from_json(data: dict[str, Any], folder: Path) -> Run:
    """Raises ValueError (SettingError too), TypeError, KeyError or AttributeError for anything but our own."""
    if data["format"] != FORMAT:
        raise ValueError("another format")
    facts = data["facts"]
    run = Run(
        TrainingStarted(
            model=str(facts["model"]),
            config=GPT2Config.from_saved(facts["config"]),
            training=TrainingConfig.from_saved(facts["training"]),
            data=str(facts["data"]),
            train_tokens=int(facts["train_tokens"]),
            validation_tokens=int(facts["validation_tokens"]),
            first_step=int(data["first_step"]),
            out=str(folder),
        ),
        number=0,
        model=str(data["model"]),
    )
    for step, loss, seconds in zip(data["steps"], data["losses"], data["seconds"], strict=True):
        run.curve.add(int(step), _float(loss), float(seconds))
    for step, loss, per_char, seconds in data["evaluations"]:
        run.evaluations.append(Evaluation(int(step), _float(loss), _float(per_char)))
        run.evaluation_seconds.append(float(seconds))
    for step, text in data.get("samples", ()):  # which an earlier version did not write
        run.samples.append(Sample(int(step), str(text)))
    if data["saved"] is not None:
        run.saved = Saved(int(data["saved"]), str(folder))
    run.seconds = float(data["seconds"][-1])
    for axis in (run.curve.steps, run.curve.seconds):
        if axis[0] < 0 or not axis[-1] < _FARTHEST or any(not one <= other for one, other in pairwise(axis)):
            raise ValueError("a curve that goes back")
    with suppress(CheckpointError):  # a log that can't be read costs the marks alone
        run.events = still_to_come(read_events(folder), 0)
    return run


def _spread(samples: list[Sample]) -> list[Sample]:
    """At most SAMPLES of them, the newest among them."""
    stride = math.ceil(len(samples) / SAMPLES)
    return samples[::-1][:: max(1, stride)][::-1]


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)

"""What the app keeps in files, changed in thousands of ways: read, passed over, set aside or refused in one line.

The short form tries a few changes of each kind, the slow one 4,000.
"""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from kept_texts import manuscript, walk
from mutations import FEW, MANY, bounded, changed_files, is_a_line, refusals

from sg_core.config import GPT2Config
from sg_core.engine.events import Sample, Saved, TrainingStarted
from sg_core.errors import SettingError
from sg_core.training.results import Evaluation
from sg_core.training.settings import TrainingConfig
from sg_tui.keys import ACTIONS, choose
from sg_tui.library import export, figures_file, habits, preferences, run_records
from sg_tui.library.store import Store
from sg_tui.library.tree_file import dump_tree, load_tree
from sg_tui.state.manuscript import Manuscript
from sg_tui.state.training_run import Run

COUNTS = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


# ------------------------------------------------------------ single files


def keep(text: Manuscript, folder: Path) -> None:
    """What was read can be kept."""
    walk(text)
    folder.mkdir(exist_ok=True)
    store = Store(folder)
    store.save_text("read", text, "m", "complete")
    again = store.load_text("read")
    assert again is not None
    assert again.text.encode("utf-8", "replace") == text.text.encode("utf-8", "replace")
    store.close()


def write_tree(path: Path) -> None:
    path.write_text(dump_tree(manuscript("words")), encoding="ascii")


def write_export(path: Path) -> None:
    path.write_text(export.as_json(export.Document("a", "m", "chat", manuscript("words"))), encoding="ascii")


def read_export(path: Path) -> None:
    document = export.read(path)
    keep(document.manuscript, path.parent / "kept")
    for form in export.FORMATS.values():
        form(document)


def write_rows(path: Path) -> None:
    rows = [{"model": "m", "ms_per_token": 0.5, "optimizations": {"kv_cache": True}, "tokens": 3}] * 2
    written, _ = figures_file.save_rows(path.parent, "bench", rows, datetime(2026, 1, 1))
    written.rename(path)


def write_habits(path: Path) -> None:
    used = habits.Habits(path.parent)
    for name in ("stop", "go", "go"):
        used.used(name)
    used.write()


def read_habits(path: Path) -> None:
    used = habits.Habits(path.parent)
    used.used("go")
    assert all(math.isfinite(used.weight(name)) for name in ("stop", "go"))
    assert habits.Habits(path.parent).weight("nobody") == 0


FILES: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], object]]] = {
    "tree": ("a.tree.json", write_tree, lambda path: keep(load_tree(path.read_bytes()), path.parent / "kept")),
    "exported text": ("a.json", write_export, read_export),
    "any text": ("a.txt", write_export, read_export),
    "figures": ("rows.json", write_rows, figures_file.read_rows),
    "habits": (habits.NAME, write_habits, read_habits),
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", FILES)
def test_a_mutated_file_is_read_or_refused_in_a_line(kind: str, count: int, tmp_path: Path) -> None:
    name, write, read = FILES[kind]
    path = tmp_path / name
    write(path)
    read(path)
    refused = refusals(path, count, kind, lambda: read(path), ValueError, SettingError)
    assert (refused > count // 10) == (kind not in ("any text", "habits"))  # which take anything


@pytest.mark.parametrize("count", COUNTS)
def test_mutated_settings_are_used_or_kept_aside_in_a_line(count: int, tmp_path: Path) -> None:
    folder, told = tmp_path / "config", 0
    usual = preferences.Preferences(model="here", keys={"app.quit": "Ctrl+Q", "write.stop": "Esc f9"})
    preferences.write(folder, usual)
    path = folder / preferences.FILE
    for number in changed_files(path, count, "settings"):
        changed = path.read_bytes()
        with bounded():
            found, said = preferences.read(folder)
            for line in choose(found.keys, ACTIONS):
                assert is_a_line(line), (number, line)
            preferences.write(folder, found)
            assert preferences.read(folder) == (found, ""), number
        if said:
            told += 1
            assert is_a_line(said), (number, said)
            assert (folder / preferences.BROKEN).read_bytes() == changed
    choose({}, ACTIONS)
    assert told > count // 10


# ------------------------------------------------------------ curves of runs


def run(folder: Path) -> Run:
    folder.mkdir(parents=True)
    config = GPT2Config(vocab_size=512, n_ctx=64, n_layer=2, n_head=2, n_embd=32)
    facts = TrainingStarted("tiny", config, TrainingConfig(steps=100), "python-docs", 1000, 100, 0, str(folder))
    made = Run(facts, 0, "tiny")
    for step in range(1, 9):
        made.curve.add(step, math.nan if step == 3 else 5.0 / step, step * 0.5)
    made.evaluations += [Evaluation(4, 2.5, 1.0), Evaluation(8, 2.25, 0.9)]
    made.evaluation_seconds += [2.0, 4.0]
    made.samples.append(Sample(4, "a sample"))
    made.saved = Saved(4, str(folder / "step-4"))
    return made


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_curve_is_read_or_passed_over(count: int, tmp_path: Path) -> None:
    run_records.RunKeeper(Path).keep(run(tmp_path / "a"), now=True)
    read = 0
    for number in changed_files(tmp_path / "a" / run_records.NAME, count, "curve"):
        with bounded():
            for found in run_records.load_records(tmp_path):
                read += 1
                steps, seconds = list(found.curve.steps), list(found.curve.seconds)
                assert steps == sorted(steps), number  # what draws them relies on it
                assert seconds == sorted(seconds), number
                assert all(0 <= one < 1 << 53 for one in (*steps, *seconds, found.seconds)), number
                assert found.seconds_left >= 0 or math.isnan(found.seconds_left)
                assert (found.best is None) == (not any(math.isfinite(one.val_loss) for one in found.evaluations))
    assert 0 < read < count

"""What the library holds, as items of one list: kept texts, training runs, models. Each in the thread that may wait."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from sg_core import paths
from sg_core.errors import SgError
from sg_tui.figures import size
from sg_tui.library import marks
from sg_tui.library.run_records import load_records
from sg_tui.library.search import DamagedIndexError, SearchIndex
from sg_tui.library.store import SavedText, Store
from sg_tui.state.shelf import Item

DELETED_RUNS = "deleted-runs"  # where the folders of deleted runs wait
MOST_RECORDS = 100  # runs whose curve is read


class Texts:
    """The texts of a store, and what stands in them. Belongs to the librarian's thread."""

    def __init__(self) -> None:
        self._index: SearchIndex | None = None

    def look(self, store: Store, words: str) -> tuple[list[Item], dict[str, str], bool]:
        """The texts; of each that holds the words the place; and whether all of them were looked through.

        Raises sqlite3.Error.
        """
        if self._index is None:
            marks.forget_old(store)
            self._index = SearchIndex(store.path.parent if store.path else None)
        texts = store.texts()
        try:
            found, whole = self._search(self._index, store, texts, words)
        except DamagedIndexError:
            self._index.begin_again()
            found, whole = self._search(self._index, store, texts, words)
        return [_text(one) for one in texts], found, whole

    @staticmethod
    def _search(index: SearchIndex, store: Store, texts: list[SavedText], words: str) -> tuple[dict[str, str], bool]:
        whole = not words.split() or index.take_in(store, texts)
        return {hit.id: hit.around for hit in index.find(words)}, whole


def _text(one: SavedText) -> Item:
    note = f"{one.characters:,} characters · {one.model}"
    return Item("text", one.id, one.title, note, one.updated, one.deleted, model=one.model, mode=one.mode)


def runs_and_models() -> list[Item]:
    """The runs, the deleted ones too, and the models on this machine. Takes as long as the disk does."""
    from sg_core.storage.hub import RUN, SHIPPED, installed
    from sg_core.storage.peft_file import adapter_runs

    losses = {}
    for run in load_records(paths.runs_dir(), MOST_RECORDS):
        best = min((one.val_loss for one in run.evaluations), default=None)
        steps = f"{int(run.curve.steps[-1]):,} steps" if len(run.curve) else ""
        losses[Path(run.facts.out or "").name] = f"{steps} · {'' if best is None else f'loss {best:.3f} · '}"
    items = []
    for model in installed():
        if model.origin == RUN:
            folder = paths.runs_dir() / model.name
            note = losses.get(model.name, "") + size(model.size)
            items.append(Item("run", model.name, model.name, note, _when(folder), folder=str(folder)))
        else:
            note = f"{model.origin}, {size(model.size)}"
            fixed = model.origin == SHIPPED
            items.append(Item("model", model.name, model.name, note, folder=str(model.path), fixed=fixed))
    listed = {item.id for item in items}
    for folder in adapter_runs():
        if folder.name not in listed:
            note = "adapter, with its model"
            items.append(Item("run", folder.name, folder.name, note, _when(folder), folder=str(folder)))
    return items + _deleted_runs()


def _deleted_runs() -> list[Item]:
    found = []
    with suppress(OSError):
        for folder in (paths.data_dir() / DELETED_RUNS).iterdir():
            found.append(Item("run", folder.name, folder.name, "deleted", _when(folder), True, str(folder)))
    return found


def _when(folder: Path) -> float:
    with suppress(OSError):
        return folder.stat().st_mtime
    return 0.0


def delete_run(name: str) -> None:
    """Put a run aside; `bring_run_back` undoes it. Raises OSError."""
    kept = paths.data_dir() / DELETED_RUNS
    kept.mkdir(mode=0o700, exist_ok=True)
    (paths.runs_dir() / name).rename(kept / name)


def bring_run_back(name: str) -> None:
    """Put a deleted run into its place again. Raises OSError."""
    (paths.data_dir() / DELETED_RUNS / name).rename(paths.runs_dir() / name)


def forget_run(name: str) -> None:
    """Remove a deleted run for good. Raises OSError."""
    shutil.rmtree(paths.data_dir() / DELETED_RUNS / name)


def remove_model(name: str) -> str:
    """Remove a fetched model; it can be fetched again. Returns what went wrong, "" if nothing."""
    from sg_core.storage.hub import remove

    try:
        remove(name)
    except SgError as problem:
        return str(problem)
    return ""

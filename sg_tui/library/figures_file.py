"""Figures as files: rows of names and values, written as JSON and as CSV beside each other, and read again."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sg_core.errors import SettingError
from sg_core.files import put_in_place, read_bytes

Row = Mapping[str, Any]
LONGEST = 16 << 20  # bytes of a file that are read


def save_rows(folder: Path, what: str, rows: Sequence[Row], now: datetime) -> tuple[Path, Path]:
    """Write rows as `what` of this moment; values that are tables become columns with a dot. Raises OSError."""
    table_rows = [flat(row) for row in rows]
    columns = list(dict.fromkeys(name for row in table_rows for name in row))
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table_rows)
    stem = f"{now:%Y-%m-%d-%H%M%S}-{plain_name(what)}"
    written = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"
    return save_text(folder, f"{stem}.json", written), save_text(folder, f"{stem}.csv", table.getvalue())


def save_text(folder: Path, name: str, text: str) -> Path:
    """Write a file, all or nothing; returns where. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".figures-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        put_in_place(temporary, folder / name)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return folder / name


def saved(folder: Path, what: str) -> list[Path]:
    """The JSON files of `what`, newest first."""
    return sorted(folder.glob(f"*-{plain_name(what)}.json"), reverse=True) if folder.is_dir() else []


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Raises ValueError for a file that can't be read or holds something else."""
    rows = json.loads(read_bytes(path, LONGEST, SettingError).decode("utf-8"))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("no list of rows")
    return rows


def plain_name(what: str) -> str:
    """Letters, digits and dashes, for the name of a file."""
    return "-".join(re.findall(r"[a-z0-9]+", what.casefold()))[:60] or "figures"


def flat(row: Row, before: str = "") -> dict[str, Any]:
    """The row with a column for each value of its tables, their names joined by a dot."""
    columns: dict[str, Any] = {}
    for name, value in row.items():
        columns |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return columns

"""One key writes the screen as a picture and the numbers behind it as JSON and CSV, and says where."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from scripted_engine import ScriptedEngine
from stories import see, wait_until
from textual.pilot import Pilot
from write_stories import opened, send


async def exported(pilot: Pilot[None], home: Path, view: str) -> list[dict[str, Any]]:
    folder = home / "data" / "figures"
    await pilot.press("f12")
    await wait_until(pilot, lambda: list(folder.glob(f"*-{view}.csv")))
    (path,) = folder.glob(f"*-{view}.json")
    assert path.with_suffix(".svg").read_text("utf-8").startswith("<svg")
    rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
    assert len(list(csv.DictReader(path.with_suffix(".csv").open(encoding="utf-8", newline="")))) == len(rows)
    return rows


async def test_the_numbers_behind_the_write_view(home: Path) -> None:
    engine = ScriptedEngine(replies=(" three four five",))
    async with opened(engine) as (pilot, app, _):
        await send(pilot, "one two")
        await pilot.press("f7")
        await see(pilot, "perplexity 3.5")
        rows = await exported(pilot, home, "write")
        assert [one for one in app._notifications if str(home / "data" / "figures") in one.message]
        of = {row["kind"]: row for row in rows}
        assert (of["ms_per_token"]["statistic"], of["ms_per_token"]["n"]) == ("median", 2)
        operations = [row["ms"] for row in rows if row["kind"] == "operation"]
        assert abs(sum(operations) / of["ms_per_token"]["ms"] - 1) < 0.03
        assert [row["text"] for row in rows if row["kind"] == "score"] == ["one", " two", " three", " four", " five"]
        assert of["scores"]["perplexity"] == 3.5
        assert [row["author"] for row in rows if row["kind"] == "piece"] == ["person"] + 3 * ["model"]
        assert [row["position"] for row in rows if row["kind"] == "position"] == [4, 5]


async def test_the_numbers_behind_the_bench_view(home: Path) -> None:
    async with opened(ScriptedEngine()) as (pilot, _, _):
        await pilot.press("f4", "enter")
        await see(pilot, "done: 8 rows")
        rows = await exported(pilot, home, "bench")
        assert [row["kind"] for row in rows] == 8 * ["row"]


async def test_a_place_that_can_not_be_written_is_told(home: Path) -> None:
    async with opened(ScriptedEngine()) as (pilot, _, _):
        (home / "data" / "figures").write_text("a file")
        await pilot.press("f12")
        await see(pilot, "This can't be written into")

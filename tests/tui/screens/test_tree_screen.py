"""Stories about the tree of a text: drawn with one key, walked, searched, marked, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, STANDARD, WIDE, screen_lines, screen_text, see, wait_until
from textual.pilot import Pilot
from write_stories import opened, send

from sg_tui.screens.tree import TreeScreen
from sg_tui.screens.write import WriteScreen
from sg_tui.state.manuscript import Manuscript, Piece
from sg_tui.state.tree import START, Tree, new_node
from sg_tui.state.writing import Writing
from sg_tui.widgets.tree_view import TreeView

REPLIES = ("one two", "first", "second")


async def forked(pilot: Pilot[Any], screen: WriteScreen) -> Manuscript:
    """Three ways on from "a ", the last of which is shown."""
    manuscript = screen.desk.writing.manuscript
    await send(pilot, "a ")
    for count in (2, 3):
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda count=count: len(manuscript.branches(1)) == count)  # type: ignore[misc]
        await wait_until(pilot, lambda: not screen.desk.generation.running)
    return manuscript


@pytest.mark.parametrize("size", [WIDE, STANDARD, SMALL])
async def test_the_branches_are_drawn_and_one_is_gone_to(size: tuple[int, int]) -> None:
    async with opened(ScriptedEngine(replies=("one\ntwo", "first", "second")), size) as (pilot, app, screen):
        manuscript = await forked(pilot, screen)
        await pilot.press("alt+t")
        for words in ("› a", "├─· one two", "├─· first", "├─· second", "4 of 4"):
            await see(pilot, words)
        assert {len(line) for line in screen_lines(app)} == {size[0]}
        await pilot.press("up", "up")
        await wait_until(pilot, lambda: any(line.startswith("  two") for line in screen_lines(app)))  # the whole node
        await pilot.press("enter")
        await wait_until(pilot, lambda: manuscript.text == "a one\ntwo")
        assert app.screen is screen
        await pilot.press("ctrl+z")
        await wait_until(pilot, lambda: manuscript.text == "a second")


async def test_a_branch_is_folded_marked_and_removed_and_each_is_undone() -> None:
    async with opened(ScriptedEngine(replies=REPLIES)) as (pilot, app, screen):
        manuscript = await forked(pilot, screen)
        await pilot.press("escape", "t")
        await see(pilot, "├─· one two")
        await pilot.press("left", "x")
        await see(pilot, "▸ 3 more")
        await wait_until(pilot, lambda: "first" not in screen_text(app))
        await pilot.press("u", "right", "b")
        await see(pilot, "★")
        await pilot.press("delete")
        await wait_until(pilot, lambda: "one two" not in screen_text(app))
        await pilot.press("u")
        await see(pilot, "├─· one two")
        await pilot.press("end", "delete")  # what is shown stays
        await see(pilot, "├─· second")
        await pilot.press("home", "n")
        assert app.screen.query_one(TreeView).cursor == 1
        assert [node.marked for node, _ in manuscript.tree.walk()] == [False, True, False, False]


async def test_all_branches_are_searched_also_folded_ones() -> None:
    async with opened(ScriptedEngine(replies=REPLIES)) as (pilot, app, screen):
        await forked(pilot, screen)
        await pilot.press("alt+t", "left", "x", "slash", *"FIRST")
        await see(pilot, "the next of 1")
        await pilot.press("enter")
        node = app.screen.query_one(TreeView).node
        assert node is not None
        assert node.words == "first"
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is screen)


async def test_all_branches_are_saved_as_json_and_opened_as_another_text(tmp_path: Path) -> None:
    async with opened(ScriptedEngine(replies=REPLIES)) as (pilot, app, screen):
        manuscript = await forked(pilot, screen)
        id = screen.desk.writing.id
        await pilot.press("alt+t", "s")
        await see(pilot, "save all branches")
        app.screen.query_one("#path").value = str(tmp_path / "tree.json")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await wait_until(pilot, lambda: (tmp_path / "tree.json").exists() and isinstance(app.screen, TreeScreen))
        await pilot.press("o")
        await see(pilot, "saved as JSON")
        app.screen.query_one("#path").value = str(tmp_path)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await see(pilot, "needed")
        app.screen.query_one("#path").value = str(tmp_path / "tree.json")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.screen is screen and screen.desk.writing.id != id)
        other = screen.desk.writing.manuscript
        assert other.text == manuscript.text
        assert [node.words for node, _ in other.tree.walk()] == [node.words for node, _ in manuscript.tree.walk()]


async def test_ten_thousand_nodes_are_shown() -> None:
    async with opened(ScriptedEngine(), SMALL) as (pilot, app, screen):
        tree, place = Tree(), START
        for number in range(10_000):
            node = tree.add(new_node(place, "model", [Piece(f"word {number}", "model")]))
            place = tree.end(node) if number % 10 else place
        screen.take_up(Writing(manuscript=Manuscript(tree=tree, head=place)))
        await pilot.press("alt+t")
        await see(pilot, "of 10,000")
        await pilot.press("home")
        await see(pilot, "1 of 10,000")
        await pilot.press("end", "pageup", "left", "right")
        assert isinstance(app.screen, TreeScreen)

"""One key tints the text, prompt and pasted text included; legend and totals stand in its frame."""

from __future__ import annotations

import pytest
from scripted_engine import ScriptedEngine
from stories import SMALL, WIDE, see, wait_until
from textual.pilot import Pilot
from write_stories import by_hand, opened, send, write

from sg_core.engine.commands import Score
from sg_tui.screens.write import WriteScreen
from sg_tui.widgets.text_view import TextView


def asked(engine: ScriptedEngine) -> list[str]:
    return [command.text for command in engine.submitted if isinstance(command, Score)]


def styles(pilot: Pilot[None], row: int) -> list[str]:
    """Backgrounds of the cells of a row of the text, one a character."""
    view = pilot.app.screen.query_one(TextView)
    return [str(segment.style and segment.style.bgcolor) for segment in view.render_line(row) for _ in segment.text]


@pytest.mark.parametrize("size", [WIDE, SMALL])
async def test_f7_goes_round_the_tints_and_says_what_they_mean(size: tuple[int, int]) -> None:
    engine = ScriptedEngine(replies=(" three four",))
    async with opened(engine, size) as (pilot, app, _):
        await send(pilot, "one two")
        await wait_until(pilot, lambda: app.desk.writing.manuscript.text == "one two three four")
        await pilot.press("f7")
        await see(pilot, "perplexity 3.5")
        assert asked(engine) == ["one two three four"]
        for words in ("rank", "entropy", "author"):
            await pilot.press("f7")
            await see(pilot, words)
        await pilot.press("f7")
        await wait_until(pilot, lambda: app.screen.query_one(TextView).tint is None)
        assert len(asked(engine)) == 1


async def test_the_words_of_a_person_are_tinted_token_by_token() -> None:
    engine = ScriptedEngine(replies=(".",))
    async with opened(engine) as (pilot, _, _):
        await send(pilot, "one two three four five six seven")
        plain = styles(pilot, 0)
        await pilot.press("f7")
        await see(pilot, "perplexity 3.5")
        cells = styles(pilot, 0)
        assert cells[0] == plain[0]  # nothing stands before the first token
        assert len(set(cells[:33])) >= 3  # surprise grows with the place in the scripted scores


async def test_scores_wait_for_the_end_of_the_writing() -> None:
    engine = by_hand()
    async with opened(engine) as (pilot, _, screen):
        await pilot.press("f7")
        await send(pilot, "one")
        await write(pilot, engine, 3)
        await see(pilot, "not scored yet")
        assert not asked(engine)
        view = screen.query_one(TextView)
        assert view.tint is not None
        assert view.tint.starts[:2] == [0, len("one")]  # what is typed is plain until it is scored
        assert view.tint.levels[0] == "plain" != view.tint.levels[1]
        engine.run_until_idle()
        await see(pilot, "perplexity 3.5")
        assert asked(engine) == [screen.desk.writing.manuscript.text]
        assert isinstance(screen, WriteScreen)

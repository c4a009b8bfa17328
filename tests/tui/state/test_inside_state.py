"""What is known of the inside: the chosen part of the map, what is changed, where a head looks in the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_inside import looked

from sg_core.config import GPT2Config
from sg_core.engine.commands import Scale
from sg_core.engine.events import Failed, InterventionsSet, Loaded
from sg_core.inference.token import Token
from sg_tui.state.inside_state import InsideState, changes_text, shade_level
from sg_tui.state.manuscript import Piece
from sg_tui.widgets.lens_table import why_rows

CONFIG = GPT2Config(vocab_size=64, n_ctx=64, n_layer=3, n_head=4, n_embd=8)
TOKEN = Token(5, " end", -0.5, ((5, -0.5), (9, -2.0)), 1.0, {})


def known(texts: list[str] | None = None, place: int = 1) -> InsideState:
    state = InsideState()
    state.take(Loaded("a", CONFIG, "f32", 1))
    state.show(looked(CONFIG, 1, texts or ["See", " it"], TOKEN, None, ()), place)
    return state


def test_the_choice_stays_within_the_map_and_the_mlp_stands_right_of_the_heads() -> None:
    state = known()
    state.move(9, 3)
    assert (state.layer, state.head) == (2, 3)
    state.move(0, 1)
    assert (state.layer, state.head) == (2, None)
    state.move(-9, 0)
    state.move(0, -1)
    assert (state.layer, state.head) == (0, 3)


def test_wishes_are_told_in_the_order_of_the_layers_and_one_is_no_change() -> None:
    state = known()
    state.move(1, 4)
    state.scaled(0.5)
    state.move(0, -4)
    assert state.scaled(9.0) == (Scale(1, 0, 4.0), Scale(1, None, 0.5))
    assert state.scaled(-1.0) == (Scale(1, 0, 0.0), Scale(1, None, 0.5))
    assert state.factor(1, 0) == 0.0
    assert state.scaled(1.0) == (Scale(1, None, 0.5),)


def test_a_refused_change_is_wished_no_longer_and_another_model_has_none() -> None:
    state = known()
    state.take(InterventionsSet((Scale(0, 0, 0.0),)))
    state.scaled(0.5)
    state.take(Failed("no", command="SetInterventions"))
    assert state.wished == state.scales == (Scale(0, 0, 0.0),)
    state.take(Loaded("b", CONFIG, "f32", 1))
    assert not any((state.wished, state.scales, state.looked))


def test_changes_in_words() -> None:
    assert changes_text(()) == ""
    assert changes_text((Scale(1, 2, 0.0), Scale(0, None, 0.5))) == "head 1.2 muted, MLP 0 × 0.5"
    assert changes_text((Scale(1, 2, 0.0),) * 5).endswith("head 1.2 muted and 2 more")


@given(
    pieces=st.lists(st.text("ab é\n", max_size=5), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 4), min_size=1, max_size=12),
    place=st.integers(0, 7),
)
def test_tokens_are_found_in_the_pieces_before_however_both_are_cut(
    pieces: list[str], cuts: list[int], place: int
) -> None:
    """The head looks evenly: every character of the tokens that stand there is seen once, the last of them first."""
    place = min(place, len(pieces) - 1)
    before, texts = "".join(pieces[:place]), []
    for cut in cuts:
        texts.append(before[:cut])
        before = before[cut:]
    texts = [text for text in [*texts, before] if text] or [""]
    state = known(texts, place)
    assert state.looked is not None
    state.looked.inside.patterns[:] = 0.5
    found = state.seen([Piece(text, "model") for text in pieces])
    assert all(0 <= one.start < one.stop <= len(pieces[one.piece]) for one in found)
    assert "".join(pieces[one.piece][one.start : one.stop] for one in reversed(found)) == "".join(pieces[:place])


def test_the_strongest_are_told_first_and_the_faint_ones_not() -> None:
    state = known(["a", "b", "c"])
    assert state.looked is not None
    state.looked.inside.patterns[0, 0] = [0.3, 0.001, 0.6]
    assert [text for text, _ in state.strongest(5)] == ["c", "a"]
    assert [shade_level(share) for share in (0.001, 0.05, 0.1, 0.3, 0.9)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("height", [3, 6, 30])
def test_the_parts_shown_sum_to_the_difference_whatever_the_room(height: int) -> None:
    state = known()
    assert state.looked is not None
    assert state.looked.inside.why is not None
    rows = [row.plain for row in why_rows(state.looked.inside.why, 42, height)]
    assert rows[0].startswith("difference of the logits")
    shares = [float(row[13:23].replace("−", "-")) for row in rows[1:]]
    assert sum(shares) == pytest.approx(state.looked.inside.why.difference, abs=0.0005 * len(shares))  # as rounded
    assert len(rows) <= height

"""The one table of switches, and what is read off it."""

from __future__ import annotations

from itertools import product

import pytest

from sg_core.errors import SettingError
from sg_core.network import forward
from sg_core.network.optimizations import ROW_SWITCHES, STAGES, TABLE, USUAL, Optimizations


def test_the_numbers_of_the_switches_stay() -> None:
    assert [(one.number, one.name) for one in TABLE] == [
        (1, "kv_cache"), (2, "linear"), (3, "gelu"), (4, "residual"),
        (5, "gelu_table"), (6, "layernorm"), (7, "unembedding"), (8, "lookup"),
        (9, "draft"),
    ]  # fmt: skip
    assert tuple(one.name for one in TABLE) == Optimizations.names()
    assert all(one.label and one.effect for one in TABLE)


def test_what_is_on_by_default_is_what_the_table_says() -> None:
    assert {name: getattr(Optimizations(), name) for name in Optimizations.names()} == {
        one.name: one.default for one in TABLE
    }
    assert set(Optimizations.names()) - set(USUAL) == {"lookup", "draft"}


def test_cells_are_in_the_order_in_which_the_forward_pass_reads_them() -> None:
    cells = {
        "layernorm": forward.LAYERNORM,
        "attention": forward.ATTENTION,
        "linear": forward.LINEAR,
        "gelu": forward.GELU,
        "residual": forward.RESIDUAL,
    }
    assert sorted(cells, key=lambda stage: cells[stage]) == list(STAGES)


@pytest.mark.parametrize("name", Optimizations.names())
def test_a_switch_that_is_off_begins_its_own_stage_at_the_first_position(name: str) -> None:
    stage = next(one.stage for one in TABLE if one.name == name)
    starts = dict(zip(STAGES, Optimizations().without(name).starts(7), strict=True))
    assert starts == {one: 0 if one == stage else 7 for one in STAGES}


def test_earlier_rows_are_needed_as_soon_as_one_switch_wants_them() -> None:
    for switches in product((False, True), repeat=len(TABLE)):
        optimizations = Optimizations(*switches)
        wanted = any(not getattr(optimizations, name) for name in ROW_SWITCHES)
        assert optimizations.needs_earlier_rows == wanted
    assert set(USUAL) - set(ROW_SWITCHES) == {"gelu_table"}  # it changes how, not for which rows


def test_an_unknown_switch_is_named() -> None:
    with pytest.raises(SettingError, match="optimization 'flash' is unknown; choose from kv_cache"):
        Optimizations().without("flash")

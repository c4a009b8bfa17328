"""What compiled code is told of commands that come while it writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sg_core.engine.commands import SetPace
from sg_core.engine.inbox import Inbox


@pytest.mark.parametrize(
    "come",
    [lambda inbox: inbox.put(SetPace(1.0)), Inbox.stop, Inbox.wake, Inbox.close],
    ids=["put", "stop", "wake", "close"],
)
def test_whatever_comes_is_urgent_until_it_is_looked_at(come: Callable[[Inbox], None]) -> None:
    inbox = Inbox()
    assert inbox.urgent[0] == 0
    come(inbox)
    assert inbox.urgent[0] == 1
    inbox.waiting()
    assert inbox.urgent[0] == 0

"""Lines told once, by whoever notices, to whoever listens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sg_core import notices


@pytest.fixture(autouse=True)
def _nobody_was_told(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(notices, "_told", set())
    yield
    notices.listen(None)


def test_a_line_is_told_at_once_and_once() -> None:
    heard: list[str] = []
    notices.listen(heard.append)
    for line in ("one", "two", "one"):
        notices.tell(line)
    assert heard == ["one", "two"]


def test_what_nobody_heard_waits_for_who_listens_first() -> None:
    heard: list[str] = []
    notices.tell("early")
    notices.tell("early")
    notices.listen(heard.append)
    notices.listen(None)
    notices.tell("late")
    assert heard == ["early"]
    notices.listen(heard.append)
    assert heard == ["early", "late"]

"""Where commands say what: stdout and stderr, terminals and pipes."""

from __future__ import annotations

import errno
import io
import json
import sys

import pytest

from sg_core.errors import SgError
from sg_tui.commands.output import Output


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def term(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


HOSTILE = "a\x1b]52;c;aGk=\x07b\x9b2Jc\u202ed\re\n"


def test_text_is_harmless_on_a_terminal_and_unchanged_in_a_pipe() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    Output(terminal, io.StringIO()).text(HOSTILE)
    Output(pipe, io.StringIO()).text(HOSTILE)
    assert pipe.getvalue() == HOSTILE
    assert not set("\x1b\x07\x9b\u202e\r") & set(terminal.getvalue())
    assert terminal.getvalue().endswith("e\n")


def test_a_pipe_takes_utf8_whatever_the_locale() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Output(stream, io.StringIO()).text("ß🎉\n")
    assert raw.getvalue() == "ß🎉\n".encode()


@pytest.mark.parametrize(("system", "raised"), [("win32", BrokenPipeError), ("linux", SgError)])
def test_a_pipe_that_nobody_reads_is_known_by_what_windows_calls_it(
    monkeypatch: pytest.MonkeyPatch, system: str, raised: type[Exception]
) -> None:
    class Unread(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(raised):
        Output(Unread(), io.StringIO()).text("a")


def test_errors_are_one_harmless_line() -> None:
    err = Terminal()
    Output(io.StringIO(), err).error("sg-tui x", "bad\nname \x1b[2J")
    assert err.getvalue() == "sg-tui x: bad name ␛[2J\n"


def test_narration_is_harmless_in_a_log_too() -> None:
    log = io.StringIO()
    Output(io.StringIO(), log).note(HOSTILE)
    assert not set("\x1b\x07\x9b\u202e\r") & set(log.getvalue())


def test_json_is_valid_whatever_the_numbers() -> None:
    out = io.StringIO()
    Output(out, io.StringIO()).json({"loss": float("nan"), "lr": 0.1 + 0.2, "text": "\x1b\u2028"})
    assert json.loads(out.getvalue()) == {"loss": None, "lr": 0.30000000000000004, "text": "\x1b\u2028"}
    assert "\x1b" not in out.getvalue()


def test_progress_is_wiped_before_text_on_a_terminal() -> None:
    screen = Terminal()
    output = Output(screen, screen)
    output.progress("compiling", 1, 3)
    output.text("hello")
    output.note("done")
    assert "compiling 1/3" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[Khello\ndone\n")


def test_short_work_leaves_no_progress_in_a_log() -> None:
    log = io.StringIO()
    output = Output(io.StringIO(), log)
    output.progress("loading", 1, 100)
    output.progress("loading", 2, 100)
    assert log.getvalue() == ""


def test_a_log_gets_a_line_at_most_once_a_second_whatever_alternates(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    log = io.StringIO()
    output = Output(io.StringIO(), log)
    for moment in range(300):
        now[0] = moment / 30
        output.progress(("saving", "evaluating", "training")[moment % 3])
    assert 3 <= log.getvalue().count("\n") <= 10


def test_long_work_shows_progress_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    log = io.StringIO()
    output = Output(io.StringIO(), log)
    for second in range(1, 6):
        now[0] = float(second)
        output.progress("loading", second, 100)
    assert log.getvalue() == "loading 2/100\nloading 4/100\n"

"""A command that is stopped shows all of its text: also what was held back, as it might have become a stop string."""

from __future__ import annotations

import io
import json
import re
import signal
from pathlib import Path

import pytest
from chain_model import chain_model
from cli_support import start
from tokenizer_folders import VOCABULARY

from sg_core.text.tokenizer import Tokenizer
from sg_tui.cli import main
from sg_tui.commands.interrupt import Interrupt

HELD = 50  # characters that may be the beginning of the stop string
STOP = ("--stop", "." * HELD + "!", "--max-tokens", "100000000", "--temperature", "0")


@pytest.fixture(scope="module")
def dots(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that writes "." for ever."""
    folder = tmp_path_factory.mktemp("dots")
    chain_model(257, {}, ord("."), Tokenizer(VOCABULARY, [])).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that writes the first byte of a character, and then "." for ever."""
    folder = tmp_path_factory.mktemp("half")
    chain_model(257, {}, 0xE2, Tokenizer(VOCABULARY, [])).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_shows_what_was_held_back(dots: str, number: int) -> None:
    process = start("complete", "x", "--model", dots, *STOP)
    assert process.stdout is not None
    head = process.stdout.read(100)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    told = re.search(rb"([\d,]+) tokens, .* ended by stopped\n", err)
    assert told is not None, err
    assert head + out == b"." * int(told[1])
    assert process.returncode == 128 + number
    assert err.endswith(b"sg-tui complete: interrupted\n")


@pytest.mark.parametrize("several", [False, True])
def test_a_stop_tells_what_was_held_back_in_json(dots: str, several: bool) -> None:
    process = start("complete", "x", "--model", dots, *STOP, "--json", *(("--n", "2") if several else ()))
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(300)]
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    records = [json.loads(line) for line in b"".join([*lines, out]).splitlines()]
    ends = [record for record in records if "done" in record]
    assert [end["done"] for end in ends] == ["stopped"] * (1 + several)
    assert [end["rest"] for end in ends] == ["." * HELD] * (1 + several)
    tokens = [record for record in records if "text" in record]
    assert sum(end["tokens"] for end in ends) == len(tokens)
    assert sum(len(token["text"]) for token in tokens) == len(tokens) - HELD * (1 + several)
    assert process.returncode == 130


def test_a_stop_of_several_prints_what_each_has_so_far(dots: str) -> None:
    process = start("complete", "x", "--model", dots, *STOP, "--n", "2")
    assert process.stderr is not None
    while process.stderr.readline()[:14] != b"writing: token":  # in a log it is told every two seconds
        pass
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=60)
    told = [int(number) for number in re.findall(rb"\d: (\d+) tokens", rest)]
    assert [len(line) for line in out.splitlines()] == told
    assert process.returncode == 130


def test_a_stop_shows_half_a_character_as_one_mark(half: str) -> None:
    process = start("complete", "x", "--model", half, "--max-tokens", "100000000", "--temperature", "0", "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert json.loads(out.splitlines()[-1])["rest"] == "\ufffd"


class Late(Interrupt):
    """Ctrl-C at a look of its own number."""

    looks = 0
    at = 0

    def __call__(self) -> bool:
        Late.looks += 1
        self.asked = Late.looks >= Late.at
        return self.asked


def test_a_stopped_answer_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model repeats the beginning of a name, which is held back: at each later stop one character more is shown."""
    successors = {ord("\n"): ord("Y"), ord("Y"): ord("o"), ord("o"): ord("u")}
    chain_model(257, successors, ord("\n"), Tokenizer(VOCABULARY, [])).save_pretrained(tmp_path / "m")
    monkeypatch.setattr("sg_tui.commands.chat.Interrupt", Late)
    shown = []
    for at in range(20, 26):
        Late.looks, Late.at = 0, at
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Hi\n")))
        assert main(["chat", "--model", str(tmp_path / "m"), "--temperature", "0"]) == 0
        shown.append(capsys.readouterr().out)
    assert [len(one) - len(shown[0]) for one in shown] == [0, 1, 2, 3, 4, 5]


def test_a_wish_to_end_is_heard_in_an_answer(dots: str) -> None:
    process = start("chat", "--model", dots, "--max-tokens", "100000000", stdin=-1)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"Hi\nAnd on\n")
    process.stdout.read(40)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err

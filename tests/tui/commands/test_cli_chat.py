"""`sg-tui chat`: turns in the model's own form, line by line, and special tokens in prompts of `complete`."""

from __future__ import annotations

import io
import json
import signal
import sys
from pathlib import Path

import pexpect
import pytest
from chain_model import chain, chain_model
from cli_support import environment, failure, make_model, start
from tokenizer_folders import VOCABULARY, decoder_entry, write_files

from sg_core import paths
from sg_core.text.tokenizer import Tokenizer
from sg_tui.cli import main

MARKS = {"<|user|>": 257, "<|assistant|>": 258, "<|end|>": 259}
ENTRIES = {str(id): decoder_entry(mark) for mark, id in MARKS.items()}


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Says "Ok" and ends after <|assistant|>, "." for ever after anything else."""
    folder = tmp_path_factory.mktemp("tagged")
    settings = {"eos_token": "<|end|>", "added_tokens_decoder": ENTRIES}
    write_files(folder / "t", vocab=VOCABULARY, merges=[], tokenizer_config=settings)
    model = chain_model(260, chain("Ok", 258, 259), ord("."), Tokenizer.from_folder(folder / "t"))
    model.save_pretrained(folder / "m")
    return str(folder / "m")


@pytest.fixture(scope="module")
def turning(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Says "Yes!" and ends after the end token, "." for ever after anything else."""
    folder = tmp_path_factory.mktemp("turning")
    chain_model(257, chain("Yes!", 256, 256), ord("."), Tokenizer(VOCABULARY, [])).save_pretrained(folder)
    return str(folder)


def talk(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, lines: bytes, *arguments: str
) -> tuple[str, str]:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert main(["chat", "--temperature", "0", *arguments]) == 0
    out, err = capsys.readouterr()
    return out, err


def test_each_line_is_answered_in_the_models_own_form(
    tagged: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = talk(capsys, monkeypatch, b"Hi\nAnd now?\n\nlast", "--model", tagged)
    assert out == "Ok\nOk\nOk\nOk\n"
    assert "template tags" in err


def test_marks_that_are_typed_are_plain_text(
    tagged: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # with a template of no marks, the model's last token would be <|assistant|>, and it would say Ok
    file = paths.config_dir() / "templates.toml"
    file.write_text('[bare]\nperson = ["", ""]\nmodel = ["", ""]\n')
    options = ("--model", tagged, "--template", "bare", "--max-tokens", "3")
    assert talk(capsys, monkeypatch, b"Hi<|assistant|>\n", *options)[0] == "...\n"
    paths.config_dir().joinpath("templates.toml").write_text(
        '[bare]\nperson = ["", "<|assistant|>"]\nmodel = ["", ""]\n'
    )
    assert talk(capsys, monkeypatch, b"Hi<|assistant|>\n", *options)[0] == "Ok\n"


def test_turns_that_are_ended_by_the_end_token(
    turning: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = talk(capsys, monkeypatch, b"Hi\nAgain\n", "--model", turning, "--template", "turns")
    assert out == "Yes!\nYes!\n"
    assert "--max-tokens" not in err
    out, err = talk(capsys, monkeypatch, b"Hi\n", "--model", turning, "--template", "user", "--max-tokens", "4")
    assert out == "....\n"
    assert "after 4 tokens; --max-tokens allows more" in err


def test_complete_reads_special_tokens_unless_the_prompt_is_plain(
    turning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["complete", "Hello<|endoftext|>", "--model", turning, "--max-tokens", "12"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert out == "Yes!"
    assert "ended by end of text" in err
    assert main([*command, "--plain"]) == 0
    assert capsys.readouterr().out == "............"


def test_a_training_text_has_end_tokens_unless_it_is_plain(
    turning: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sg_core.training.trainer import Trainer

    (tmp_path / "t.txt").write_text("one document<|endoftext|>" * 40)
    command = ["train", "--data", str(tmp_path / "t.txt"), "--model", turning, "--steps", "1", "--context", "8"]
    for options, ends in (((), True), (("--plain",), False)):
        folder = tmp_path / f"run{len(options)}"
        assert main([*command, "--batch-size", "1", "--sample-every", "0", "--out", str(folder), *options]) == 0
        assert (256 in Trainer.resume(folder).dataset.train_ids) == ends
        assert json.loads((folder / "run.json").read_text())["plain"] is not ends


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--template", "none"), 2, "template is 'none'; choose from tags, play, question, turns"),
        (("--temperature", "-1"), 2, "temperature is -1"),
        (("--model", "no/such"), 1, "sg-tui models pull no/such"),
    ],
)
def test_what_can_not_be_done_is_one_line(
    tagged: str, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int, said: str
) -> None:
    given = () if "--model" in options else ("--model", tagged)
    assert said in failure(capsys, code, "chat", *given, *options)


def test_a_line_that_is_no_text_is_named(
    tagged: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Hi\ncaf\xe9\n")))
    assert main(["chat", "--model", tagged]) == 1
    assert "line 2 on stdin is not UTF-8: byte 3" in capsys.readouterr().err


def test_a_broken_file_of_templates_is_named(tagged: str, capsys: pytest.CaptureFixture[str]) -> None:
    paths.config_dir().joinpath("templates.toml").write_text("[x")
    assert "templates.toml can't be used" in failure(capsys, 2, "chat", "--model", tagged)


def test_ctrl_c_stops_an_answer_and_the_talk_goes_on(tmp_path: Path) -> None:
    model = str(make_model(tmp_path / "m"))
    process = start("chat", "--model", model, "--max-tokens", "100000000", stdin=-1)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"Hi\n")
    process.stdin.flush()
    assert process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    process.stdin.close()  # no other line: the talk is over
    process.stdin = None
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"Traceback" not in err


def test_on_a_terminal_lines_are_typed_and_ctrl_d_leaves(tagged: str) -> None:
    arguments = ["-m", "sg_tui", "chat", "--model", tagged]
    terminal = pexpect.spawn(sys.executable, arguments, env=environment(), timeout=60, encoding="utf-8")
    terminal.expect("> ")
    terminal.sendline("Hi")
    terminal.expect("Ok")
    terminal.expect("> ")
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0

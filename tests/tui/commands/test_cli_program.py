"""The program as a whole: its version, its exits, what it says where there is no terminal, and in one."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pexpect
import pytest
from cli_support import ROOT, environment, failure, hear_ctrl_c, make_model

import sg_core
from sg_tui import keys
from sg_tui.cli import main


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert capsys.readouterr().out == f"sg-tui {declared}\n"


def output_of(*arguments: str) -> bytes:
    """What Python prints into a pipe."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=True).stdout


def test_the_public_names_are_there_and_loaded_when_used() -> None:
    code = "import sys, sg_core; assert 'numpy' not in sys.modules; from sg_core import *; print(GPT2, Trainer)"
    assert b"sg_core.gpt2.GPT2" in output_of("-c", code)
    assert set(sg_core.__all__) <= set(dir(sg_core))
    with pytest.raises(AttributeError, match="no attribute 'GPT3'"):
        sg_core.GPT3  # noqa: B018


def test_options_before_a_command_are_not_lost_silently(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--model belongs after the command" in failure(capsys, 2, "--model", "x", "complete", "y")


def test_without_a_terminal_the_app_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the app needs a terminal" in failure(capsys, 1)


def test_failures_nobody_foresaw_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> int:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("sg_tui.commands.models.run", fail)
    assert "internal error: ZeroDivisionError: oh" in failure(capsys, 1, "models")
    monkeypatch.setenv("SG_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["models"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(28, "No space left on device", "/x/y"), "/x/y: No space left on device"),
    ],
)
def test_failures_of_the_system_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*arguments: object) -> int:
        raise error

    monkeypatch.setattr("sg_tui.commands.models.run", fail)
    assert said in failure(capsys, 1, "models")


# ---------------------------------------------------------------- in a terminal


def spawn(*arguments: str, **variables: str) -> pexpect.spawn:
    variables = {**environment(), **variables}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "sg_tui", *arguments],
        env=variables,
        timeout=60,
        dimensions=(24, 80),
        preexec_fn=hear_ctrl_c,
    )
    child.delaybeforesend = None
    return child


def test_a_dumb_terminal_gets_one_line() -> None:
    child = spawn(TERM="dumb")
    [line] = child.read().splitlines()
    assert line.startswith(b"sg-tui: the app needs a terminal that can draw, but TERM is dumb")
    child.close()
    assert child.exitstatus == 1


def test_model_output_is_harmless_in_a_terminal(tmp_path: Path) -> None:
    """A random model writes random bytes, control characters among them."""
    model = str(make_model(tmp_path / "model"))
    options = ["complete", "x", "--model", model, "--max-tokens", "300", "--temperature", "5", "--top-p", "1"]
    raw = output_of("-m", "sg_tui", *options)
    assert re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", raw)  # else this test shows nothing
    child = spawn(*options)
    shown = child.read()
    child.close()
    assert child.exitstatus == 0
    text = shown.replace(b"\r\x1b[K", b"").replace(b"\r\n", b"\n")  # the progress line's own
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", text)
    assert not re.search("[\x80-\x9f]", text.decode("utf-8"))


def test_ctrl_c_in_a_terminal_leaves_a_clean_line(tmp_path: Path) -> None:
    model = str(make_model(tmp_path / "model"))
    child = spawn("complete", "x", "--model", model, "--max-tokens", "100000000", "--top-k", "40")
    child.expect(b"forward pass 1/2\r\x1b\\[K[^\x1b]{40}")  # text is streaming
    child.kill(signal.SIGINT)
    child.expect(b"\r\nsg-tui complete: interrupted\r\n$")
    child.wait()
    assert child.exitstatus == 130


# ---------------------------------------------------------------- README


def test_ci_runs_the_commands_of_the_readme() -> None:
    readme, script = ((ROOT / name).read_text("utf-8") for name in ("README.md", ".ci/run"))
    commands = re.findall(r"^python3 -m venv .*$", readme, re.MULTILINE)
    assert len(commands) == 2
    tests = commands[1]
    assert tests.endswith("-m pytest -n 2")
    assert f"\n{tests}\n" in script
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_the_readme_shows_the_keys() -> None:
    """Its section is what `python -c "from sg_tui.keys import markdown; print(markdown())"` prints."""
    readme = (ROOT / "README.md").read_text("utf-8")
    assert keys.markdown().strip() in readme

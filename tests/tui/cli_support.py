"""What tests of the commands share: a tiny model in a folder, and the program as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sg_core.config import GPT2Config
from sg_tui.cli import main

ROOT = Path(__file__).parents[2]
TEXT = "The lantern of the watch goes up the hill, and all the town is sleeping in the mist.\n" * 60


def make_model(folder: Path, n_ctx: int = 48) -> Path:
    """A random model with a vocabulary of its own, in Hugging Face layout; its text never ends by itself."""
    from sg_core.gpt2 import GPT2
    from sg_core.text.vocabulary import learn_vocabulary

    tokenizer = learn_vocabulary(TEXT, 290)
    shape = GPT2Config(vocab_size=tokenizer.vocab_size, n_ctx=n_ctx, n_layer=2, n_head=2, n_embd=16)
    model = GPT2.random(shape, seed=5, tokenizer=tokenizer)
    model.parameters["ln_f.bias"][0] = 10.0
    model.parameters["wte.weight"][:, 0] = 0.0
    model.parameters["wte.weight"][tokenizer.end_of_text, 0] = -10.0  # its logit is about -100
    model.save_pretrained(folder)
    return folder


def environment() -> dict[str, str]:
    """For a process: this process's compiled kernels are its own too, so that it needs not compile."""
    from sg_core.kernels.jit import CACHE_FOLDER

    return {**os.environ, "NUMBA_CACHE_DIR": CACHE_FOLDER, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}


def hear_ctrl_c() -> None:
    """In a new process: SIGINT acts, also where the tests themselves run as a background job, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(*arguments: str, **settings: Any) -> subprocess.Popen[bytes]:
    """`sg-tui` as a process, its streams in pipes; none is read ahead, so that `communicate` gets all that is left."""
    streams: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "bufsize": 0,
    }
    streams |= settings
    return subprocess.Popen(
        [sys.executable, "-m", "sg_tui", *arguments], env=environment(), preexec_fn=hear_ctrl_c, **streams
    )


def records(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """The JSON lines of a command that is done."""
    assert main([*arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def exit_code(*arguments: str) -> object:
    """How a command ends, also when argparse ends it."""
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code


def failure(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """The one line on stderr of a command that ends with `code`."""
    assert exit_code(*arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    said = [line for line in err.splitlines() if line.startswith("sg-tui")]
    assert len(said) == 1, err
    assert err.endswith(said[0] + "\n")
    return said[0]

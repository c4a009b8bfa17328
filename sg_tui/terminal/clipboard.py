"""Copying: through the terminal (OSC 52), the desktop's own tool where there is one, or a file."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

LONGEST = 74_000  # bytes of base64 that every terminal with OSC 52 takes
FILE = "copied.txt"


def osc52(text: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The control sequence that copies `text`, wrapped for tmux if needed; None if too long for one."""
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    if len(encoded) > LONGEST:
        return None
    sequence = f"\x1b]52;c;{encoded}\a"
    if environment.get("TMUX"):
        sequence = "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    return sequence


def tool(environment: Mapping[str, str] = os.environ) -> list[str] | None:
    """The command that copies its input to the desktop's clipboard, if there is a desktop and a command."""
    candidates: list[list[str]] = []
    if sys.platform == "darwin":
        candidates.append(["pbcopy"])
    if environment.get("WAYLAND_DISPLAY"):
        candidates.append(["wl-copy"])
    if environment.get("DISPLAY"):
        candidates += [["xclip", "-selection", "clipboard"], ["xsel", "--clipboard", "--input"]]
    return next((command for command in candidates if shutil.which(command[0])), None)


def run_tool(command: list[str], text: str) -> bool:
    """Give `text` to the command; False when it failed."""
    try:
        done = subprocess.run(
            command,
            input=text.encode("utf-8", "replace"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=3,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def into_file(text: str, folder: Path) -> Path:
    """The last resort. Raises OSError."""
    path = folder / FILE
    path.write_text(text, encoding="utf-8", errors="replace", newline="")
    return path

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


def tools(environment: Mapping[str, str] = os.environ) -> list[list[str]]:
    """The commands that copy their input: into tmux and on to its terminal, to the desktop's clipboard; best first."""
    candidates: list[list[str]] = []
    if environment.get("TMUX"):  # which lets no sequence through by itself; -w passes it on, from tmux 3.2
        candidates += [["tmux", "load-buffer", "-w", "-"], ["tmux", "load-buffer", "-"]]
    if sys.platform == "darwin":
        candidates.append(["pbcopy"])
    if sys.platform == "win32":
        candidates.append(["clip"])
    if environment.get("WAYLAND_DISPLAY"):
        candidates.append(["wl-copy"])
    if environment.get("DISPLAY"):
        candidates += [["xclip", "-selection", "clipboard"], ["xsel", "--clipboard", "--input"]]
    return [command for command in candidates if shutil.which(command[0])]


def copied(text: str, sent: bool, folder: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Copy with the first command that can, or into a file of `folder`, and say in one line where the text is.

    sent: the control sequence was given to the terminal, which takes it outside tmux. Raises OSError.
    """
    count = f"Copied {len(text):,} characters"
    for command in tools(environment):
        if run_tool(command, text):
            return f"{count} into tmux; its prefix and ] pastes." if command[0] == "tmux" else f"{count}."
    if sent and not environment.get("TMUX"):
        return f"{count}."
    return f"No clipboard takes this: it is in {into_file(text, folder)}"


def run_tool(command: list[str], text: str) -> bool:
    """Give `text` to the command; False when it failed."""
    try:
        done = subprocess.run(
            command,
            # clip takes the system's old encoding for granted, but for a byte order mark
            input=text.encode("utf-16" if Path(command[0]).stem == "clip" else "utf-8", "replace"),
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

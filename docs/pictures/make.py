"""Draws the README's pictures from the running program: python docs/pictures/make.py [NAME ...]

Each is made in a pseudo-terminal with keys a person would press; `switch.svg` is a recording of twenty seconds.
Wants what the tests want (`pip install '.[test]'`); `train` also wants tinyshakespeare, from the folder SG_DATASETS or
fetched. Kernels that are compiled already are used. The figures in the pictures are those of the machine that draws.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from svg import Timed, loop, picture
from terminal import Terminal

from sg_core import paths

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "assets" / "pictures"
COLUMNS, ROWS = 120, 40
FRAME = 0.5  # seconds
SETTINGS = "toured = true\npace = 12.0\n"  # a reading pace, as at a first start, without the first minute


def write(terminal: Terminal) -> str:
    """A text while it is written."""
    terminal.press("ROMEO:", "enter")
    terminal.until("wall")
    terminal.watch(6)
    return picture(terminal.rows())


def switch(terminal: Terminal) -> str:
    """The KV cache is switched off and on while the text goes on."""
    terminal.press("JULIET:", "enter")
    terminal.until("wall")
    frames: list[Timed] = []
    for number in range(40):
        if number in (12, 28):
            terminal.press("alt+1")
        frames.append((number * FRAME, terminal.rows()))
        terminal.watch(FRAME)
    return loop(frames, len(frames) * FRAME)


def walk(terminal: Terminal) -> str:
    """A token is chosen; beside it stands what else the model thought of."""
    _walking(terminal, "left", "left", "left", "down")
    return picture(terminal.rows())


def several(terminal: Terminal) -> str:
    """Four ways on, side by side."""
    _walking(terminal, "space")
    terminal.until("keep the old")
    terminal.watch(6)
    return picture(terminal.rows())


def tree(terminal: Terminal) -> str:
    """All branches of a text: one taken, four written at once."""
    _walking(terminal, *["left"] * 40, "down", "enter")
    terminal.watch(2)
    terminal.press("space")
    terminal.until("keep the old")
    terminal.watch(4)
    terminal.press("2", "t")
    terminal.until("bookmark")
    terminal.press("b")
    terminal.watch(1)
    return picture(terminal.rows())


def inside(terminal: Terminal) -> str:
    """Where a head looks, and what each layer would say."""
    _walking(terminal, "left", "left", "i")
    terminal.until("each layer's best")
    terminal.press("down", "down", "right")
    terminal.watch(1)
    return picture(terminal.rows())


def library(terminal: Terminal) -> str:
    """Texts, runs and models."""
    _written(terminal)
    terminal.press("f5")
    terminal.until("Enter opens")
    terminal.watch(1)
    return picture(terminal.rows())


def train(terminal: Terminal) -> str:
    """A model that has learned for a while."""
    terminal.press("f3")
    terminal.until("tinyshakespeare  1.1 MB")
    terminal.press("enter")
    terminal.until("tokens/s")
    terminal.watch(25)
    terminal.press("g")
    terminal.watch(4)
    return picture(terminal.rows())


def bench(terminal: Terminal) -> str:
    """What each optimization saves."""
    terminal.press("f4")
    terminal.until("Enter measures")
    terminal.press("enter")
    terminal.until("done: 8 rows")
    return picture(terminal.rows())


def _written(terminal: Terminal) -> None:
    """A finished text, at full speed."""
    terminal.press("f8", "JULIET:", "enter")
    terminal.until("max tokens reached")
    terminal.watch(2)  # an Esc sooner would have been meant to stop it


def _walking(terminal: Terminal, *keys: str) -> None:
    """A finished text that is walked through, and these keys."""
    _written(terminal)
    terminal.press("esc")
    terminal.until("walk ·")
    terminal.press(*keys)
    terminal.watch(1)


SCENES: dict[str, Callable[[Terminal], str]] = {
    scene.__name__: scene for scene in (write, switch, walk, several, tree, inside, train, bench, library)
}


def draw(name: str, home: Path) -> None:
    """Draw one picture into the folder of pictures; `home` is the folder of a person who is new, but for kernels."""
    environment = {"SG_HOME": str(home), "PYTHONPATH": str(CHECKOUT)}
    shutil.rmtree(home / "data", ignore_errors=True)
    (home / "config").mkdir(exist_ok=True)
    (home / "config" / "settings.toml").write_text(SETTINGS)
    terminal = Terminal([sys.executable, "-m", "sg_tui"], COLUMNS, ROWS, environment)
    try:
        terminal.until("context 0/128")  # the model is loaded
        terminal.watch(1)
        drawn = SCENES[name](terminal)
    finally:
        terminal.close()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.svg").write_text(drawn, "utf-8")
    print(f"{name}.svg: {len(drawn.encode()) / 1e3:.0f} kB")


if __name__ == "__main__":
    names = sys.argv[1:] or list(SCENES)
    if unknown := [name for name in names if name not in SCENES]:
        sys.exit(f"no such picture: {', '.join(unknown)}; there are {', '.join(SCENES)}")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "cache").mkdir()
        (home / "cache" / "kernels").symlink_to(paths.kernels_dir(), target_is_directory=True)
        for name in names:
            draw(name, home)

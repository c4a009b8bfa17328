"""Makes assets/screenshot.svg, the README's picture: the real app, engine and shipped model, run without a terminal.

python tests/reference/make_screenshot.py [MODEL]
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from sg_tui.app import SgApp  # noqa: E402

PATIENCE = 120.0  # seconds: the kernels may have to be compiled first


async def take(model: str, target: Path) -> None:
    """Write a page, two optimizations off and on again on the way so that their worth is shown, and draw the screen."""
    app = SgApp(model=model)
    async with app.run_test(size=(120, 40)) as pilot:

        async def until(condition: Callable[[], bool]) -> None:
            end = time.monotonic() + PATIENCE
            while not condition():
                if time.monotonic() > end:
                    raise TimeoutError("the app did not come so far")
                await pilot.pause(0.05)

        generation = app.desk.generation
        await until(lambda: generation.loaded is not None and generation.phase.name == "idle")
        generation.max_tokens = 60
        await pilot.press(*"JULIET:", "enter")
        for switch in ("", "alt+2", "alt+2", "alt+1", "alt+1"):
            await until(lambda: generation.reason != "" and not generation.running)
            if switch:
                await pilot.press(switch, "enter")
        await until(lambda: generation.reason != "" and not generation.running)
        await pilot.pause(1.0)
        target.write_text(app.export_screenshot(title="sg-tui"), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1] if len(sys.argv) > 1 else "tinyshakespeare", ROOT / "assets" / "screenshot.svg"))

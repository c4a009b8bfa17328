"""What is normal for a new run on tinyshakespeare: the curve of the shipped model's own run, made small.

    sg-tui train --config tinyshakespeare --seed 1 --threads 1 --sample-every 0 --json > RUN.jsonl
    python tests/reference/make_normal_run.py RUN.jsonl

writes assets/tinyshakespeare/curve.json: between which losses nine of ten steps lie, as far as RUN.jsonl goes (its
first tenth will do), and the validation losses of the whole run, which the card of the model tells.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np

from sg_core.training.settings import PRESETS

FOLDER = Path(__file__).parents[2] / "assets" / "tinyshakespeare"
SHARE = 90  # percent of the steps that lie in the band
POINTS = 48  # of the band
TRAIN_TOKENS, VALIDATION_TOKENS, VALIDATION_CHARACTERS = 411_268, 49_422, 111_540


def band(losses: list[float]) -> list[list[float]]:
    """[step, low, high] at steps that grow evenly on a logarithmic scale, over the steps within a tenth around each."""
    values, rows = np.array(losses), []
    for step in sorted({round(step) for step in np.geomspace(1, len(values), POINTS)}):
        wide = max(2, step // 10)
        low, high = np.percentile(values[max(0, step - 1 - wide) : step + wide], ((100 - SHARE) / 2, (100 + SHARE) / 2))
        rows.append([step, round(float(low), 3), round(float(high), 3)])
    return rows


def validations() -> list[list[float]]:
    """[step, nats a token] of the card, whose figures are nats a character."""
    card = (FOLDER / "README.md").read_text("utf-8")
    steps, losses = (re.search(rf"^\| {name} \|(.*)\|$", card, re.M) for name in ("step", "nats a character"))
    assert steps is not None
    assert losses is not None
    pairs = zip(steps[1].split("|"), losses[1].split("|"), strict=True)
    tokens = VALIDATION_CHARACTERS / VALIDATION_TOKENS
    return [[int(step.replace(",", "")), round(float(loss) * tokens, 3)] for step, loss in pairs]


def main(source: Path) -> None:
    rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    training = PRESETS["tinyshakespeare"].training
    found = {
        "data": "tinyshakespeare",
        "tokens_per_step": training.batch_size * training.context,
        "train_tokens": TRAIN_TOKENS,
        "validation_tokens": VALIDATION_TOKENS,
        "band": band([row["loss"] for row in rows if "loss" in row]),
        "validations": validations(),
    }
    lines = ",\n".join(f'"{name}": {json.dumps(value)}' for name, value in found.items())
    (FOLDER / "curve.json").write_text(f"{{\n{lines}\n}}\n", "ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Two models, or two precisions of one, read the same text side by side: the scores of both, and how far apart their
distributions are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sg_core.errors import SettingError
from sg_core.inference.score import Reader, Scores, chosen_overlap, text_ids, windows
from sg_core.kernels.divergence import divergence_forward
from sg_core.kernels.team import Team
from sg_core.memory import aligned
from sg_core.network.model import Model
from sg_core.processors import physical_cores
from sg_core.text.tokenizer import Tokenizer
from sg_core.types import Cancelled, Count


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """first, other: the scores of a text of T tokens by each. divergences (T,) float64: Kullback-Leibler divergence of
    the first's distribution from the other's before each token, nats; NaN for the first token."""

    first: Scores
    other: Scores
    divergences: npt.NDArray[np.float64]

    @property
    def divergence(self) -> float:
        """The mean of all, nats a token; NaN without any."""
        told = self.divergences[1:]
        return float(told.mean()) if len(told) else float("nan")


def comparable(model: Model, other: Model, tokenizer: Tokenizer | None, others: Tokenizer | None, text: str) -> bool:
    """Whether two models see a text as the same tokens, in the same windows, and have one vocabulary."""
    ours, theirs = model.config, other.config
    if (ours.vocab_size, ours.n_ctx) != (theirs.vocab_size, theirs.n_ctx) or tokenizer is None or others is None:
        return False
    return tokenizer is others or tokenizer.encode(text) == others.encode(text)


def score_beside(
    model: Model,
    other: Model,
    tokenizer: Tokenizer | None,
    text: str | Sequence[int] | npt.ArrayLike,
    special: bool = False,
    precision: str | None = None,
    other_precision: str | None = None,
    progress: Count | None = None,
    cancelled: Cancelled | None = None,
    overlap: int | None = None,
) -> Beside:
    """The scores by two models of one vocabulary and one context size, as `GPT2.score` gives them, in one go.

    precision None: each model's own. progress, cancelled and overlap as for `GPT2.score`. Raises SettingError.
    """
    if (model.config.vocab_size, model.config.n_ctx) != (other.config.vocab_size, other.config.n_ctx):
        raise SettingError(f"{model.name} and {other.name} differ in vocabulary or context; score each by itself")
    overlap = chosen_overlap(model, overlap)
    ids = text_ids(model, tokenizer, text, special)
    one, two = Reader(model, tokenizer, ids, precision), Reader(other, tokenizer, ids, other_precision)
    divergences = np.full(len(ids), np.nan)
    team = Team(physical_cores())
    room = aligned(team.threads, model.config.vocab_size)
    scored = 0
    for start, stop, first in windows(len(ids), model.config.n_ctx, overlap):
        if scored and cancelled is not None and cancelled():
            break
        one.read(start, stop)
        two.read(start, stop)
        step = min(len(one.batch.piece), len(two.batch.piece))
        for row in range(first, stop - start, step):
            end = min(row + step, stop - start)
            one.score(row, end)
            two.score(row, end)
            found = np.empty(end - row)
            team.run(divergence_forward, found, one.batch.piece[: end - row], two.batch.piece[: end - row], room)
            place = start + row + 1  # of the token a row tells of
            divergences[place : place + end - row] = found[: len(ids) - place]
        scored = stop
        if progress is not None:
            progress(scored, len(ids))
    given = text if isinstance(text, str) else None
    return Beside(one.scores(scored, overlap, given), two.scores(scored, overlap, given), divergences[:scored])

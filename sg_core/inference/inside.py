"""The inside of one token of a text: where its heads looked, what each layer would have said, and why no other came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sg_core.checks import whole
from sg_core.errors import SettingError
from sg_core.inference.attribution import ATTRIBUTION_NAMES, Attribution, why
from sg_core.inference.decoder import Decoder
from sg_core.inference.heads import HeadShares, head_shares
from sg_core.inference.inspection import inspect
from sg_core.inference.lens import LENS_NAMES, Lens, logit_lens
from sg_core.network.probes import Probes
from sg_core.types import FloatArray

PATTERNS = "blocks.*.attn.hook_pattern"
_SURVEYED = 64  # positions over which heads are measured
_SURVEY_NUMBERS = 8 << 20  # of patterns that are kept at once


@dataclass(frozen=True, slots=True, eq=False)
class Inside:
    """Of the token at `place`, counted in what the model saw of the text, from the position before it that chose it.

    ids: of the `place` tokens it could look at; patterns (L, NH, place): how much each head looked at each of them.
    why: None where it was not asked for.
    """

    place: int
    ids: tuple[int, ...]
    patterns: FloatArray
    lens: Lens
    why: Attribution | None


def look(
    decoder: Decoder, place: int, token: int | None = None, rival: int | None = None, *, split: bool = True
) -> Inside:
    """The inside of the token at `place` of what the decoder sees, where what lies before it has been computed.

    token: its id, by default the one that stands there. rival: the token it is compared with, by default the likeliest
    other one. split: whether that difference is split. Raises SettingError.
    """
    model, running = decoder.model, decoder.current_pass
    config, ids = model.config, decoder.seen
    whole("place", place, 1, len(ids) - (token is None))
    token = ids[place] if token is None else whole("token", token, 0, config.vocab_size - 1)
    names = (PATTERNS, *LENS_NAMES, *(ATTRIBUTION_NAMES if split else ()))
    kept = inspect(decoder, place - 1, place, Probes(*names))
    patterns = np.stack([kept.pop(f"blocks.{layer}.attn.hook_pattern")[:, 0] for layer in range(config.n_layer)])
    seen = {name: values[0] for name, values in kept.items()}
    lens = logit_lens(model, seen, token, running.weights, running.team)
    if rival is None or rival == token:
        last = lens.rows[-1]
        rival = last.best if last.best != token else last.second
    whole("rival", rival, 0, config.vocab_size - 1)
    reason = why(model, seen, token, rival, running.weights) if split else None
    return Inside(place, tuple(ids[:place]), patterns, lens, reason)


def measure_heads(decoder: Decoder, stop: int | None = None) -> HeadShares:
    """What each head does, over the newest positions before `stop` (None: of all that are computed) of the text.

    Raises SettingError for a text of fewer than three tokens.
    """
    config, last = decoder.model.config, decoder.leave().computed
    stop = last if stop is None else min(stop, last)
    if stop < 3:
        raise SettingError("heads can be measured from the third token on; write a few more")
    most = _SURVEY_NUMBERS // (config.n_layer * config.n_head * stop)
    first = max(0, stop - max(8, min(_SURVEYED, most)))
    kept = inspect(decoder, first, stop, Probes(PATTERNS))
    return head_shares(kept.values(), decoder.seen[:stop], first)

"""What happens inside at some positions of a text, computed once more beside it."""

from __future__ import annotations

import numpy as np

from sg_core.errors import SettingError
from sg_core.inference.decoder import Decoder
from sg_core.memory import aligned
from sg_core.network.activations import Activations
from sg_core.network.optimizations import STAGES
from sg_core.network.probes import Probes
from sg_core.network.window import Window
from sg_core.types import FloatArray


def inspect(decoder: Decoder, first: int, stop: int, probes: Probes) -> dict[str, FloatArray]:
    """What probes see at positions first:stop of the decoder's window, from the cache of those before them.

    Shapes as in `network.sites`, with stop - first for T, patterns (NH, stop - first, stop). The text, its cache and
    what the next pass finds stay as they were, to the bit: a fork of the cache takes what is computed. Raises
    SettingError where what lies before is not computed.
    """
    branch, running = decoder.leave(), decoder.current_pass
    seen = branch.ids[branch.first + first : branch.first + stop]
    if not (0 <= first <= branch.computed and first < stop and len(seen) == stop - first):
        raise SettingError(f"positions {first}:{stop} can't be looked at; {branch.computed} are computed")
    config = decoder.model.config
    window = Window(config, probes, decoder.interventions)
    times = decoder.times.copy()
    running.run(
        np.array([seen], np.int32), stop, np.full(len(STAGES), first, np.int64),
        Activations(config, len(seen), kept=False), aligned(1, config.vocab_size), (0, 0),
        cache=branch.cache.fork(first, stop), use_table=decoder.optimizations.gelu_table,
        window=window.open(1, first, stop, stop - first, stop),
    )  # fmt: skip
    decoder.times[:] = times
    return {name: values[0] for name, values in window.whole().items()}

"""One position by cheaper weights of the same model: a guess at what the full ones will say."""

from __future__ import annotations

import numpy as np

from sg_core.kernels.team import Team
from sg_core.memory import aligned
from sg_core.network.activations import Activations
from sg_core.network.forward import Pass
from sg_core.network.interventions import Interventions
from sg_core.network.kv_cache import KVCache
from sg_core.network.model import Model
from sg_core.network.optimizations import STAGES
from sg_core.network.probes import Probes
from sg_core.network.window import Window
from sg_core.types import FloatArray


class DraftPass:
    """Passes of the weights that write ahead for those of a precision, with its adapters and interventions."""

    def __init__(self, model: Model, precision: str, team: Team, interventions: Interventions) -> None:
        self._pass = Pass(model.parameters, model.draft_weights(precision), team, model.adapters)
        self._window = Window(model.config, Probes(), interventions) if interventions else None
        self._logits = aligned(1, model.config.vocab_size)
        self._starts = np.zeros(len(STAGES), np.int64)

    def logits(self, id: int, position: int, activations: Activations, cache: KVCache, use_table: bool) -> FloatArray:
        """(V,) after an id, valid until the next call; the cache holds what came before, and gains this position."""
        self._starts.fill(position)
        window = None
        if self._window is not None:
            window = self._window.open(1, position, position + 1, 1, cache.positions)
        self._pass.run(
            np.array([[id]], np.int32), position + 1, self._starts, activations, self._logits, (0, 1),
            cache=cache, use_table=use_table, window=window,
        )  # fmt: skip
        row: FloatArray = self._logits[0]
        return row

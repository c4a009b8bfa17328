"""Memory for what probes keep of a pass, and the arrays by which its kernels find it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sg_core.config import GPT2Config
from sg_core.kernels.probe import SITES
from sg_core.network.interventions import Interventions, edit_arrays
from sg_core.network.probes import Probes
from sg_core.network.sites import PATTERN, Site, matching
from sg_core.types import FloatArray


class Window:
    """Probes and interventions of one model. Only what was asked for takes memory.

    `open` before a pass, `row` or `whole` after it. Raises SettingError for what the model does not have.
    """

    def __init__(self, config: GPT2Config, probes: Probes, interventions: Interventions) -> None:
        self._config = config
        self._sites = matching(config, probes.patterns)
        self._edits, self._numbers = edit_arrays(config, interventions)
        self._taps = np.full((config.n_layer + 1, SITES), -1, np.int64)
        self._record: FloatArray = np.zeros(1, np.float32)
        self._laid = (0, 0, 0)  # sequences, positions kept of each, numbers of a row of scores
        self._seen = 0  # positions that the last pass could see

    def open(self, sequences: int, base: int, stop: int, kept: int, room: int) -> Any:
        """What a pass over positions base:stop of some sequences is told, to keep the last `kept` of each.

        room: positions that the next passes may have, so that memory is not laid out anew for each.
        """
        if self._laid[:2] != (sequences, kept) or self._laid[2] < stop:
            self._lay(sequences, kept, max(stop, room))
        self._seen = stop
        frame = np.array([base, stop - base, stop - kept, kept, self._laid[2]], np.int64)
        return self._taps, self._record, frame, self._edits, self._numbers

    def _lay(self, sequences: int, kept: int, positions: int) -> None:
        place = 0
        for site in self._sites:
            self._taps[site.layer, site.number] = place
            place += sequences * kept * math.prod(site.row_shape(self._config, positions))
        self._record = np.zeros(max(1, place), np.float32)
        self._laid = (sequences, kept, positions)

    def row(self, number: int) -> dict[str, FloatArray]:
        """What each probe kept at one kept position, sequence after sequence: (C,), (NH, hs), (NH, T), ..."""
        sequence, place = divmod(number, self._laid[1])
        seen = self._seen - self._laid[1] + place + 1  # positions up to this one
        rows = {site: self._of(site)[sequence, place] for site in self._sites}
        return {site.name: (row[:, :seen] if site.row == PATTERN else row).copy() for site, row in rows.items()}

    def whole(self) -> dict[str, FloatArray]:
        """What each probe kept, (B, T, ...), scores and patterns (B, NH, T, T)."""
        return {
            site.name: np.ascontiguousarray(self._of(site).swapaxes(1, 2)) if site.row == PATTERN else self._of(site)
            for site in self._sites
        }

    def _of(self, site: Site) -> FloatArray:
        """(B, kept, ...)."""
        sequences, kept, room = self._laid
        shape = site.row_shape(self._config, room)
        start = self._taps[site.layer, site.number]
        flat = self._record[start : start + sequences * kept * math.prod(shape)]
        if site.row != PATTERN:
            return flat.reshape(sequences, kept, *shape)
        return flat.reshape(sequences, shape[0], kept, room)[..., : self._seen].swapaxes(1, 2)

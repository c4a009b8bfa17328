"""The loss on the validation tokens, of which each process reads its groups of windows."""

from __future__ import annotations

import itertools
import math

import numpy as np

from sg_core.kernels.team import Team
from sg_core.network.adapters import Trainable
from sg_core.network.batch_pass import BatchPass
from sg_core.training.dataset import TextDataset
from sg_core.training.growing_ids import Ids
from sg_core.training.learner import WholeModel
from sg_core.training.ranks import Ranks
from sg_core.training.settings import TrainingConfig
from sg_core.types import Cancelled


class Validation:
    """Reads the validation part of a dataset, in windows of the context without overlap."""

    def __init__(self, learner: WholeModel, dataset: TextDataset, config: TrainingConfig, team: Team) -> None:
        self._learner, self._dataset, self._config, self._team = learner, dataset, config, team
        self._passes: dict[tuple[int, int, int], BatchPass] = {}

    def use_team(self, team: Team) -> None:
        """Compute with these threads from now on."""
        self._team = team
        for batch_pass in self._passes.values():
            batch_pass.use_team(team)

    def nats(self, parameters: Trainable, cancelled: Cancelled | None, ranks: Ranks) -> float:
        """Total nats of the validation tokens, the same for any number of processes. nan when cancelled.

        Where only some of them are read, the others are taken to be like these.
        """
        windows = self._dataset.validation_windows(self._config.context, self._config.evaluate_tokens)
        groups = iter(lambda: list(itertools.islice(windows, self._config.validation_batch)), [])
        total, read = 0.0, 0
        while some := list(itertools.islice(groups, ranks.size)):  # one for each process
            if ranks.gather([cancelled is not None and cancelled()]).any():
                return math.nan
            own = some[ranks.rank] if ranks.rank < len(some) else []
            for nats in ranks.gather(self._group_nats(parameters, own)).tolist():
                total += nats
            read += sum(len(targets) for group in some for _, targets in group)
        wanted = len(self._dataset.validation_ids) - 1
        return total if read == wanted else total / read * wanted

    def _group_nats(self, parameters: Trainable, group: list[tuple[Ids, Ids]]) -> list[float]:
        """Total nats of the windows of a group, of those of full length and of shorter ones."""
        nats = [0.0, 0.0]
        for place, length in enumerate(sorted({len(inputs) for inputs, _ in group}, reverse=True)):
            same = [window for window in group if len(window[0]) == length]
            inputs = np.ascontiguousarray([window[0] for window in same], np.int32)
            targets = np.ascontiguousarray([window[1] for window in same], np.int32)
            nats[place] = float(self._pass(parameters, inputs.shape).losses(inputs, targets).sum())
        return nats

    def _pass(self, parameters: Trainable, shape: tuple[int, ...]) -> BatchPass:
        B, T = shape
        key = (id(parameters), B, T)  # the pass keeps the parameters, so that no others get their id
        if key not in self._passes:
            self._passes[key] = self._learner.validation_pass(parameters, B, T, self._team)
        return self._passes[key]

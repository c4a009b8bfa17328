"""Muon over the matrices of the blocks, AdamW over everything else."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.blocked import BLOCKED_ROOM
from sg_core.kernels.jit import entry
from sg_core.kernels.muon import muon
from sg_core.kernels.team import Team
from sg_core.memory import aligned
from sg_core.network.adapters import Trainable
from sg_core.network.block import matrix
from sg_core.network.parameters import FC_W, MLP_W, PROJ_W, QKV_W, Parameters
from sg_core.training.optimizer import AdamW
from sg_core.training.ranks import ALONE, Ranks
from sg_core.training.settings import TrainingConfig
from sg_core.types import FloatArray


@entry
def update_matrix(
    thread: int, threads: int, cells: Any, parameters: Any, gradients: Any, momenta: Any, place: int, N: int, K: int,
    rate: Any, beta: Any, decay: Any, scale: Any, x: Any, gram: Any, polynomial: Any, next_x: Any, sums: Any,
    rooms: Any,
) -> None:  # fmt: skip
    """As `muon`, of the matrix (N, K) at a place of the arenas."""
    muon(
        thread, threads, cells, matrix(parameters, place, N, K), matrix(gradients, place, N, K),
        matrix(momenta, place, N, K), rate, beta, decay, scale, x, gram, polynomial, next_x, sums, rooms[thread],
    )  # fmt: skip


class Muon(AdamW):
    """An optimizer as AdamW is one, with its state: where Muon acts, `first` is its momentum and `second` unused."""

    def __init__(self, parameters: Parameters, config: TrainingConfig, team: Team, ranks: Ranks = ALONE) -> None:
        matrices = _block_matrices(parameters)
        place, N, K = matrices[-1]
        self._start, self._stop = matrices[0][0], place + N * K
        self._places = [one[0] for one in matrices]
        super().__init__(parameters, config, team, ranks)
        self._matrices = [one for one in matrices if self.own.start <= one[0] < self.own.stop]
        self._scratch = {shape: _scratch(*shape) for shape in {(N, K) for _, N, K in self._matrices}}

    def _cut(self, place: int) -> int:
        """A matrix stays whole."""
        if not self._start < place < self._stop:
            return place
        return min((*self._places, self._stop), key=lambda start: abs(start - place))

    def _apply(self, gradients: FloatArray, rate: float, scale: float) -> None:
        """The update of the own range with the rate and the clipping's scale."""
        config, own = self._config, self.own
        rooms = aligned(self.team.threads, BLOCKED_ROOM)
        arenas = (self._parameters.arena[own], gradients, self.first)
        for place, N, K in self._matrices:
            self.team.run(
                update_matrix, *arenas, place - own.start, N, K, rate, config.momentum, config.weight_decay, scale,
                *self._scratch[N, K], rooms,
            )  # fmt: skip
        self._adamw(gradients, 0, self._start, rate, scale)
        self._adamw(gradients, self._stop, own.stop, rate, scale)


def _block_matrices(parameters: Parameters) -> list[tuple[int, int, int]]:
    """Place, rows and columns of each matrix of the blocks, in the arena's order; queries, keys and values apart."""
    C, H = parameters.config.n_embd, parameters.config.hidden_size
    found = []
    for places in parameters.layout.blocks.tolist():
        found += [(places[QKV_W] + part * C * C, C, C) for part in range(3)]
        found += [(places[PROJ_W], C, C), (places[FC_W], H, C), (places[MLP_W], C, H)]
    return found


def _scratch(N: int, K: int) -> tuple[Any, ...]:
    n, m = min(N, K), max(N, K)
    return aligned(n, m), aligned(n, n), aligned(n, n), aligned(n, m), np.empty(n, np.float64)


def make_optimizer(parameters: Trainable, config: TrainingConfig, team: Team, ranks: Ranks = ALONE) -> AdamW:
    """The optimizer that the settings name; an adapter's is AdamW."""
    if config.optimizer == "muon" and isinstance(parameters, Parameters):
        return Muon(parameters, config, team, ranks)
    return AdamW(parameters, config, team, ranks)

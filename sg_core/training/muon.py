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
from sg_core.training.optimizer import AdamW, update_entry
from sg_core.training.settings import TrainingConfig


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

    def __init__(self, parameters: Parameters, config: TrainingConfig, team: Team) -> None:
        super().__init__(parameters, config, team)
        self._matrices = _block_matrices(parameters)
        place, N, K = self._matrices[-1]
        self._start, self._stop = self._matrices[0][0], place + N * K
        self._scratch = {shape: _scratch(*shape) for shape in {(N, K) for _, N, K in self._matrices}}

    def _apply(self, gradients: Trainable, rate: float, scale: float) -> None:
        """The update with the rate and the clipping's scale."""
        config, weights, decayed_in_all = self._config, self._parameters.arena, self._parameters.decayed
        rooms = aligned(self.team.threads, BLOCKED_ROOM)
        for place, N, K in self._matrices:
            self.team.run(
                update_matrix, weights, gradients.arena, self.first.arena, place, N, K, rate, config.momentum,
                config.weight_decay, scale, *self._scratch[N, K], rooms,
            )  # fmt: skip
        for part, decayed in (
            (slice(0, self._start), self._start), (slice(self._stop, None), decayed_in_all - self._stop)
        ):  # fmt: skip
            arenas = (weights, gradients.arena, self.first.arena, self.second.arena)
            self.team.run(
                update_entry, *(arena[part] for arena in arenas), decayed, rate, config.beta1, config.beta2,
                config.adam_epsilon, config.weight_decay, self.updates, scale,
            )  # fmt: skip


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


def make_optimizer(parameters: Trainable, config: TrainingConfig, team: Team) -> AdamW:
    """The optimizer that the settings name; an adapter's is AdamW."""
    if config.optimizer == "muon" and isinstance(parameters, Parameters):
        return Muon(parameters, config, team)
    return AdamW(parameters, config, team)

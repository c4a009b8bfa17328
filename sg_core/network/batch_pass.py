"""Loss and gradients of one batch: the memory, and the calls of the forward and backward passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.kernels.attention import backward_scratch, forward_scratch
from sg_core.kernels.blocked import BLOCKED_ROOM
from sg_core.kernels.formats import FLOAT32
from sg_core.kernels.team import Team
from sg_core.memory import aligned
from sg_core.network.activations import Activations
from sg_core.network.backward import backward, loss_forward
from sg_core.network.forward import OPERATIONS, forward
from sg_core.network.parameters import Parameters
from sg_core.types import FloatArray

_LOGITS_BYTES = 1 << 25  # logits of a batch are made in pieces of about this size

IntArray = npt.NDArray[np.int32]
_NO_TABLE = np.zeros(1, np.uint16)
_NO_CACHE = _NO_SCALES = np.zeros(1, np.float32)


class BatchPass:
    """Room for batches of B sequences of T tokens; shared by training, evaluation and `GPT2.logits`."""

    def __init__(self, parameters: Parameters, B: int, T: int, team: Team) -> None:
        parameters.require_all()
        config = parameters.config
        self.shape = (B, T)
        self._parameters = parameters
        self._team = team
        C, rows = config.n_embd, B * T
        self._activations = Activations(config, rows, kept=True)
        piece = max(1, min(rows, _LOGITS_BYTES // (4 * config.vocab_size)))
        self._logits = aligned(piece, config.vocab_size)
        self._losses = np.empty(rows, np.float64)
        self._scratch = aligned(team.threads, forward_scratch(config.head_size, T))
        self._panels = np.empty((team.threads, 1), np.float32)  # float32 weights need no expanding
        self._starts = np.zeros(5, np.int64)
        self._times = np.zeros(len(OPERATIONS), np.int64)
        self._backward_room: tuple[Any, ...] | None = None
        self._epsilon = np.float32(config.layer_norm_epsilon)
        self._channels = C

    def _forward(self, ids: IntArray, rate: float, key: int, logits: FloatArray, wanted: int) -> None:
        T = self.shape[1]
        parameters, activations = self._parameters, self._activations
        plan = parameters.layout
        self._team.run(
            forward, ids, 0, T, self._starts,
            self._channels, parameters.config.n_head, self._epsilon, parameters.arena, plan.blocks, plan.ends,
            parameters.arena, FLOAT32, _NO_SCALES, 1, self._panels,
            activations.arena, activations.places, activations.embedding, activations.final_norm, activations.rows,
            False, _NO_CACHE, _NO_CACHE, T,
            _NO_TABLE, False, self._scratch, np.float32(rate), np.uint32(key),
            logits, 0, wanted, self._times,
        )  # fmt: skip

    def _final(self) -> FloatArray:
        rows, C = self._activations.rows, self._channels
        start = self._activations.final_norm
        return self._activations.arena[start : start + rows * C].reshape(rows, C)

    def _wte(self) -> FloatArray:
        return self._parameters["wte.weight"]

    def logits(self, ids: IntArray) -> FloatArray:
        """(B, T) int32 -> (B*T, V) float32."""
        rows = self._activations.rows
        out = np.empty((rows, self._parameters.config.vocab_size), np.float32)
        self._forward(ids, 0.0, 0, out, rows)
        return out

    def losses(self, ids: IntArray, targets: IntArray) -> npt.NDArray[np.float64]:
        """Nats of each target, (B*T,) float64, without dropout."""
        self._forward(ids, 0.0, 0, self._logits, 0)
        self._team.run(loss_forward, self._losses, self._final(), self._wte(), targets.reshape(-1), self._logits)
        return self._losses.copy()

    def loss_and_gradients(
        self,
        ids: IntArray,
        targets: IntArray,
        gradients: Parameters,
        rate: float = 0.0,
        key: int = 0,
        share: float = 1.0,
    ) -> float:
        """Mean nats of a batch; `gradients` += share * gradient of that mean. rate, key: dropout and its mask."""
        B, T = self.shape
        rows, C = B * T, self._channels
        parameters, activations = self._parameters, self._activations
        if self._backward_room is None:
            scratch = backward_scratch(parameters.config.head_size, T)
            shapes = [
                (rows, C),
                (rows, C),
                (rows, C),
                (rows, 4 * C),
                (rows, 3 * C),
                (rows, 2),
                (self._team.threads, scratch),
                (self._team.threads, BLOCKED_ROOM),
            ]
            self._backward_room = tuple(aligned(*shape) for shape in shapes)
        self._forward(ids, rate, key, self._logits, 0)
        plan = parameters.layout
        self._team.run(
            backward, ids, targets.reshape(-1), C, parameters.config.n_head, self._epsilon,
            parameters.arena, gradients.arena, plan.blocks, plan.ends,
            activations.arena, activations.places, activations.embedding, activations.final_norm,
            *self._backward_room, np.float32(rate), np.uint32(key),
            self._logits, self._losses, np.float32(share / rows),
        )  # fmt: skip
        return float(self._losses.sum() / rows)

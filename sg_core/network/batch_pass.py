"""Passes over whole sequences: logits, losses, gradients, and what happens inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.config import ACTIVATIONS
from sg_core.kernels.attention import backward_scratch
from sg_core.kernels.blocked import BLOCKED_ROOM
from sg_core.kernels.products import PANEL_SIZE
from sg_core.kernels.stored import STORED_ROOM
from sg_core.kernels.team import Team
from sg_core.memory import aligned
from sg_core.network.activations import FC, Activations
from sg_core.network.adapter_backward import adapter_backward
from sg_core.network.adapters import Adapter, Adapters
from sg_core.network.backward import backward, loss_forward
from sg_core.network.forward import Pass, attention_scales
from sg_core.network.optimizations import STAGES
from sg_core.network.parameters import Parameters
from sg_core.network.scoring import RowScores
from sg_core.network.unembedding import row_scores
from sg_core.network.weights import Weights, quantized
from sg_core.types import FloatArray

_LOGITS_BYTES = 1 << 25  # logits of a batch are made in pieces of about this size

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What teachers say about a batch. soft: probabilities (B*T, V) float32 at `temperature`; (0, V) for no teachers.

    mix: their share in the loss, whose rest is the cross-entropy of the text.
    """

    soft: FloatArray
    mix: float = 0.0
    temperature: float = 1.0


class BatchPass:
    """Room for batches of B sequences of T tokens; shared by training, evaluation, and the model's own passes.

    weights: the matrices in some precision, by default the float32 parameters themselves, which gradients need.
    adapters: what is added to them.
    gradients: whether they will be asked for; every activation is kept then. recompute: only what each block gives, and
    its other activations are computed once more for its gradients, which have the same bits.
    """

    def __init__(
        self,
        parameters: Parameters,
        B: int,
        T: int,
        team: Team,
        weights: Weights | None = None,
        *,
        adapters: Adapters | None = None,
        gradients: bool = True,
        recompute: bool = False,
    ) -> None:
        if weights is None:
            parameters.require_all()
            weights = quantized(parameters, "f32")
        config = parameters.config
        self.shape = (B, T)
        self._parameters, self._weights, self._adapters = parameters, weights, adapters
        self._activations = Activations(config, B * T, kept=gradients, recomputed=recompute)
        self._starts = np.zeros(len(STAGES), np.int64)
        self._logits: FloatArray | None = None
        self._losses = np.empty(B * T, np.float64)
        self.use_team(team)

    def use_team(self, team: Team) -> None:
        """Compute with these threads from now on; the activations stay where they are."""
        self._team = team
        self._pass = Pass(self._parameters, self._weights, team, self._adapters)
        self._backward_room: tuple[Any, ...] | None = None

    def _forward(
        self,
        ids: IntArray,
        logits: FloatArray,
        wanted: int,
        rate: float = 0.0,
        key: int = 0,
        window: Any = None,
        adapter_rate: float = 0.0,
    ) -> None:
        self._pass.run(
            ids, self.shape[1], self._starts, self._activations, logits, (0, wanted),
            cache=None, use_table=False, rate=rate, key=key, adapter_rate=adapter_rate, window=window,
        )  # fmt: skip

    def _piece(self) -> FloatArray:
        """Room for the logits of some rows."""
        if self._logits is None:
            V = self._parameters.config.vocab_size
            self._logits = aligned(max(1, min(self._activations.rows, _LOGITS_BYTES // (4 * V))), V)
        return self._logits

    def logits(self, ids: IntArray, window: Any = None) -> FloatArray:
        """(B, T) int32 -> (B*T, V) float32, exact (no table). window: see `kernels.probe`."""
        rows = self._activations.rows
        out = aligned(rows, self._parameters.config.vocab_size)
        self._forward(ids, out, rows, window=window)
        return out

    def losses(self, ids: IntArray, targets: IntArray, window: Any = None) -> npt.NDArray[np.float64]:
        """Nats of each target, (B*T,) float64, without dropout."""
        logits, weights = self._piece(), self._weights
        self._forward(ids, logits, 0, window=window)
        panels = aligned(self._team.threads, PANEL_SIZE)
        self._team.run(
            loss_forward, self._losses, self._activations.final(), weights.words, weights.head, weights.stored,
            weights.scales, weights.share, panels, targets.reshape(-1), logits,
        )  # fmt: skip
        return self._losses.copy()

    def read(self, ids: IntArray, window: Any = None) -> None:
        """Compute all but logits of ids (B, T) int32, exact (no table): `scores_of` tells of its rows."""
        self._forward(ids, self._piece(), 0, window=window)

    def scores_of(self, first: int, stop: int, targets: IntArray, top: int, marks: FloatArray) -> RowScores:
        """What rows first:stop of what was read say of targets (stop - first,) int32.

        top: likeliest tokens told of each row; marks (V,) float32, or (0,): see `RowScores`. As many rows as `piece`
        has leave their logits there.
        """
        final = self._activations.final()[first:stop]
        return row_scores(final, targets, self._weights, self._piece(), self._team, top, marks)

    @property
    def piece(self) -> FloatArray:
        """(R, V) float32, logits of the last rows that `scores_of` told of, from its first row on."""
        return self._piece()

    def loss_and_gradients(
        self,
        ids: IntArray,
        targets: IntArray,
        gradients: Parameters,
        rate: float = 0.0,
        key: int = 0,
        share: float = 1.0,
        lesson: Lesson | None = None,
    ) -> float:
        """Mean nats of a batch; `gradients` += share * gradient of that mean. rate, key: dropout and its mask.

        lesson: what teachers say about the batch, which is then a part of the loss.
        """
        rows, parameters, activations = self._activations.rows, self._parameters, self._activations
        config, layout, logits = parameters.config, parameters.layout, self._piece()
        if self._backward_room is None:
            self._backward_room = self._make_backward_room()
        if lesson is None:
            lesson = Lesson(np.empty((0, logits.shape[1]), np.float32))
        self._forward(ids, logits, 0, rate, key)
        L = config.n_layer
        whole = (
            config.n_embd, config.n_head, config.hidden_size, np.float32(config.layer_norm_epsilon),
            attention_scales(config), ACTIVATIONS.index(config.activation_function),
            parameters.arena, layout.blocks, layout.ends, ids, targets.reshape(-1), gradients.arena,
            activations.arena, activations.places, activations.embedding, activations.final_norm,
            *self._backward_room, np.float32(rate), np.uint32(key),
            logits, self._losses, np.float32(share / rows),
            lesson.soft, np.float32(lesson.mix), np.float32(lesson.temperature),
        )  # fmt: skip
        if not activations.recomputed:
            self._team.run(backward, *whole, 0, L)
        else:
            for layer in range(L - 1, -1, -1):
                if layer < L - 1:  # the last one's still lie there
                    self._pass.again(layer, self.shape, activations, rate, key)
                self._team.run(backward, *whole, layer, layer + 1)
        return float(self._losses.sum() / rows)

    def loss_and_adapter_gradients(
        self,
        ids: IntArray,
        targets: IntArray,
        gradients: Adapter,
        rates: tuple[float, float] = (0.0, 0.0),
        key: int = 0,
        share: float = 1.0,
        lesson: Lesson | None = None,
    ) -> float:
        """As `loss_and_gradients`, the gradients of the one adapter that acts; nothing else has any.

        rates: of dropout in the blocks, and before the adapter.
        """
        weights, activations, threads = self._weights, self._activations, self._team.threads
        rows = activations.rows
        config, logits = self._parameters.config, self._piece()
        if self._backward_room is None:
            self._backward_room = (*self._make_backward_room(), aligned(threads, STORED_ROOM))
        if lesson is None:
            lesson = Lesson(np.empty((0, logits.shape[1]), np.float32))
        rate, adapter_rate = rates
        self._forward(ids, logits, 0, rate, key, adapter_rate=adapter_rate)
        self._team.run(
            adapter_backward, config.n_embd, config.n_head, config.hidden_size, np.float32(config.layer_norm_epsilon),
            attention_scales(config), ACTIVATIONS.index(config.activation_function), self._parameters.arena,
            *weights.places(self._parameters.layout), weights.words, weights.stored, weights.scales, weights.share,
            aligned(threads, PANEL_SIZE), self.shape[0], targets.reshape(-1),
            activations.arena, activations.places, activations.embedding, activations.final_norm,
            *self._backward_room, np.float32(rate), np.uint32(key), logits, self._losses, np.float32(share / rows),
            lesson.soft, np.float32(lesson.mix), np.float32(lesson.temperature),
            self._pass.adapters(rows, adapter_rate), gradients.arena, gradients.lowest,
        )  # fmt: skip
        return float(self._losses.sum() / rows)

    def inputs_of_activation(self, layer: int) -> FloatArray | None:
        """(B*T, H) what a block's activation was given in the last pass; None where that is not kept."""
        activations, H = self._activations, self._parameters.config.hidden_size
        if not activations.kept or activations.recomputed:
            return None
        place, size = int(activations.places[layer, FC]), activations.rows * H
        return activations.arena[place : place + size].reshape(activations.rows, H)

    def _make_backward_room(self) -> tuple[FloatArray, ...]:
        config, rows, threads = self._parameters.config, self._activations.rows, self._team.threads
        C, H, scratch = config.n_embd, config.hidden_size, backward_scratch(config.head_size, self.shape[1])
        one = [(rows, C)] * 3  # dx, dbranch, dnorm
        shapes = [*one, (rows, H), (rows, 3 * C), (rows, 2), (threads, scratch), (threads, BLOCKED_ROOM)]
        return tuple(aligned(*shape) for shape in shapes)

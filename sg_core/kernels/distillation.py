"""Probabilities of teachers, and the loss that draws a student to them (Hinton, Vinyals & Dean 2015)."""

from __future__ import annotations

from typing import Any

import numpy as np

from sg_core.kernels.cross_entropy import exponentials
from sg_core.kernels.elementary import exp
from sg_core.kernels.jit import kernel
from sg_core.kernels.reductions import row_sum
from sg_core.kernels.simd import largest
from sg_core.kernels.team import share_start


@kernel
def add_soft_targets(soft: Any, logits: Any, temperature: Any, share: Any, thread: int, threads: int) -> None:
    """soft (M, V) += share * softmax(logits (M, V) / temperature); logits are used up."""
    M, V = logits.shape
    cool = np.float32(1.0) / temperature
    for m in range(share_start(M, thread, threads), share_start(M, thread + 1, threads)):
        row = logits[m]
        for i in range(V):
            row[i] *= cool
        exponentials(row)
        scale = share / row_sum(row)
        for i in range(V):
            soft[m, i] += scale * row[i]


@kernel
def distillation_backward(
    losses: Any, logits: Any, targets: Any, soft: Any, mix: Any, temperature: Any, scale: Any, first: int, rows: int,
    thread: int, threads: int,
) -> None:  # fmt: skip
    """losses[first + m] (float64, nats) of (1 - mix) * cross-entropy + mix * temperature^2 * KL(soft || student).

    The student's probabilities in the divergence are softmax(logits / temperature), soft (., V) those of the teachers.
    logits (M, V) become scale * the gradient of the loss.
    """
    V = logits.shape[1]
    cool = np.float32(1.0) / temperature
    own = (np.float32(1.0) - mix) * scale
    learned = mix * temperature * scale
    for m in range(share_start(rows, thread, threads), share_start(rows, thread + 1, threads)):
        row, wanted, target = logits[m], soft[first + m], targets[first + m]
        peak = largest(row, 0, V)
        # z = (logit - peak) / temperature; the divergence is sum(wanted * (log(wanted) - z)) + log(sum(exp(z)))
        divergence, total = np.float64(0.0), np.float64(0.0)
        for i in range(V):
            z = (row[i] - peak) * cool
            total += np.float64(exp(z))
            if wanted[i] > 0:
                divergence += np.float64(wanted[i]) * (np.log(np.float64(wanted[i])) - np.float64(z))
        divergence += np.log(total)
        likelihood = np.float64(row[target]) - np.float64(peak)
        hot = np.float64(0.0)
        for i in range(V):
            hot += np.float64(exp(row[i] - peak))
        entropy = np.log(hot) - likelihood
        losses[first + m] = np.float64(np.float32(1.0) - mix) * entropy + (
            np.float64(mix) * np.float64(temperature) * np.float64(temperature) * divergence
        )
        hot_share, soft_share = np.float32(1.0 / hot) * own, np.float32(1.0 / total) * learned
        for i in range(V):
            z = row[i] - peak
            row[i] = exp(z) * hot_share + exp(z * cool) * soft_share - learned * wanted[i]
        row[target] -= own

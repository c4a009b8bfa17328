"""Token plus position embedding."""

from __future__ import annotations

from typing import Any

from sg_core.kernels.jit import kernel
from sg_core.kernels.team import share_start


@kernel
def embedding_forward(out: Any, ids: Any, wte: Any, wpe: Any, position: int, thread: int, threads: int) -> None:
    """out (B*T, C) = wte[ids] + wpe[position : position + T] for ids (B, T); each thread a range of columns."""
    B, T = ids.shape
    C = wte.shape[1]
    c0, c1 = share_start(C, thread, threads), share_start(C, thread + 1, threads)
    for b in range(B):
        for t in range(T):
            target = out[b * T + t, c0:c1]
            token, place = wte[ids[b, t], c0:c1], wpe[position + t, c0:c1]
            for c in range(c1 - c0):
                target[c] = token[c] + place[c]


@kernel
def token_rows(out: Any, ids: Any, wte: Any, thread: int, threads: int) -> None:
    """The first term of `embedding_forward` alone."""
    B, T = ids.shape
    for m in range(share_start(B * T, thread, threads), share_start(B * T, thread + 1, threads)):
        row, source = out[m], wte[ids[m // T, m % T]]
        for c in range(row.shape[0]):
            row[c] = source[c]


@kernel
def position_rows(out: Any, ids: Any, wpe: Any, position: int, thread: int, threads: int) -> None:
    """The second term of `embedding_forward` alone."""
    B, T = ids.shape
    for m in range(share_start(B * T, thread, threads), share_start(B * T, thread + 1, threads)):
        row, source = out[m], wpe[position + m % T]
        for c in range(row.shape[0]):
            row[c] = source[c]


@kernel
def embedding_backward(dwte: Any, dwpe: Any, dy: Any, ids: Any, thread: int, threads: int) -> None:
    """dwte[ids] += dy and dwpe[t] += dy; each thread a range of columns, so that equal ids never collide."""
    B, T = ids.shape
    C = dwte.shape[1]
    c0, c1 = share_start(C, thread, threads), share_start(C, thread + 1, threads)
    for b in range(B):
        for t in range(T):
            gradient = dy[b * T + t, c0:c1]
            token, place = dwte[ids[b, t], c0:c1], dwpe[t, c0:c1]
            for c in range(c1 - c0):
                token[c] += gradient[c]
                place[c] += gradient[c]

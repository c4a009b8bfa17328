"""The plain matrix products under every layer, from register tiles: out += x·wᵀ and out += a·b."""

from __future__ import annotations

from typing import Any

from sg_core.kernels.formats import FORMATS, Format
from sg_core.kernels.jit import kernel, variant
from sg_core.kernels.simd import LANES, ONE, WIDE, ZERO, apart
from sg_core.kernels.tiles import (
    DOT_COLUMNS,
    DOT_ROWS,
    OUTER_ROWS,
    OUTER_VECTORS,
    PANEL,
    dot_tile,
    expansion,
    outer_tile,
)

STREAMS = 4  # rows of w read at once for few rows of x, when reading is what takes the time
SEVERAL_ROWS = 4 if WIDE else 2  # rows of x in the largest tile over stored weights
FEW = 10  # so many rows of x are computed at the price of reading w
K_BLOCK = 1024 if WIDE else 768  # a dot is summed in blocks of this length: a tile's rows of x and w fit the L1 cache
_N_BLOCK = 64  # rows of W, K_BLOCK of each, that stay in the L2 cache while the rows of x pass
PANEL_SIZE = _N_BLOCK * K_BLOCK  # float32 numbers of a thread's room for expanded weights
SUM_BLOCK = 256  # terms of an outer product added before the next panel: the panel then stays in the L2 cache


_FLOAT32, *_REDUCED = FORMATS
_dot_full = dot_tile(DOT_ROWS, DOT_COLUMNS, _FLOAT32, adjacent=True)
_dot_pair = dot_tile(2, STREAMS, _FLOAT32, adjacent=True)
_dot_row = dot_tile(1, STREAMS, _FLOAT32, adjacent=True)
_dot_single = dot_tile(1, 1, _FLOAT32)


def _few_rows(stored: Format) -> Any:
    """A product bound by reading w. Far-apart rows of w side by side get more of the memory's bandwidth than one."""
    dot_several = dot_tile(SEVERAL_ROWS, STREAMS, stored)
    dot_pair = dot_tile(2, STREAMS, stored)
    dot_row = dot_tile(1, STREAMS, stored)
    group = max(1, stored.group)

    @variant(stored.name)
    def few_rows(
        out: Any, x: Any, w: Any, w0: int, scales: Any, share: int, block: int, m0: int, m1: int, n0: int, stream: int
    ) -> None:
        """out[m0:m1] += x[m0:m1]·wᵀ for the rows n0 to n0 + STREAMS * stream of w, summed `block` at a time.

        Rows of w are stored as whole groups of the format.
        """
        apart()
        K, N = x.shape[1], out.shape[1]
        stride = (K + group - 1) // group * group
        far = stream * stride
        for n in range(n0, n0 + stream):
            for k in range(0, K, block):
                length, w1 = min(block, K - k), w0 + n * stride + k
                s1, s_far = w1 // share, far // share
                m = m0
                while m + SEVERAL_ROWS <= m1:
                    dot_several(x, m * K + k, K, w, w1, far, scales, s1, s_far, length, out, m * N + n, N, stream)
                    m += SEVERAL_ROWS
                while m + 2 <= m1:
                    dot_pair(x, m * K + k, K, w, w1, far, scales, s1, s_far, length, out, m * N + n, N, stream)
                    m += 2
                if m < m1:
                    dot_row(x, m * K + k, K, w, w1, far, scales, s1, s_far, length, out, m * N + n, N, stream)

    return few_rows


_few_rows_float32 = _few_rows(_FLOAT32)


@kernel
def _block(
    out: Any, x: Any, m0: int, m1: int, k: int, length: int, w: Any, w0: int, w_stride: int, n0: int, n1: int
) -> None:
    """out[m0:m1, n0:n1] += x[m0:m1, k:k+length]·w[:n1-n0]ᵀ, rows of w being w_stride apart from w0 on.

    The block of w lies in the L2 cache; DOT_ROWS rows of x at a time stay in the L1 cache.
    """
    apart()
    N, K = out.shape[1], x.shape[1]
    n_full = n1 - (n1 - n0) % STREAMS  # a multiple of DOT_COLUMNS too
    m_full = m1 - (m1 - m0) % DOT_ROWS
    for m in range(m0, m_full, DOT_ROWS):
        for n in range(n0, n_full, DOT_COLUMNS):
            place = w0 + (n - n0) * w_stride
            _dot_full(x, m * K + k, K, w, place, w_stride, w, 0, 0, length, out, m * N + n, N, 1)
    m_pairs = m1 - (m1 - m_full) % 2
    for m in range(m_full, m_pairs, 2):
        for n in range(n0, n_full, STREAMS):
            place = w0 + (n - n0) * w_stride
            _dot_pair(x, m * K + k, K, w, place, w_stride, w, 0, 0, length, out, m * N + n, N, 1)
    for m in range(m_pairs, m1):
        for n in range(n0, n_full, STREAMS):
            place = w0 + (n - n0) * w_stride
            _dot_row(x, m * K + k, K, w, place, w_stride, w, 0, 0, length, out, m * N + n, N, 1)
    for m in range(m0, m1):
        for n in range(n_full, n1):
            place = w0 + (n - n0) * w_stride
            _dot_single(x, m * K + k, K, w, place, w_stride, w, 0, 0, length, out, m * N + n, N, 1)


@kernel
def dots_float32(out: Any, x: Any, w: Any, w0: int, m0: int, m1: int, n0: int, n1: int) -> None:
    """out[m0:m1, n0:n1] += x[m0:m1]·w[n0:n1]ᵀ. (M, N), (M, K), and (N, K) in flat `w` from w0 on."""
    apart()
    K = x.shape[1]
    n_rest = n0
    if m1 - m0 <= FEW:
        stream = (n1 - n0) // STREAMS
        n_rest += stream * STREAMS
        _few_rows_float32(out, x, w, w0, w, ONE, K_BLOCK, m0, m1, n0, stream)
    for k in range(0, K, K_BLOCK):
        for n in range(n_rest, n1, _N_BLOCK):
            _block(out, x, m0, m1, k, min(K_BLOCK, K - k), w, w0 + n * K + k, K, n, min(n + _N_BLOCK, n1))


def _dots(stored: Format) -> Any:
    """As `dots_float32`, for weights in another format."""
    grouped, group = stored.group > 0, max(1, stored.group)
    few_rows = _few_rows(stored)
    expand = expansion(stored)

    @variant(stored.name)
    def dots(
        out: Any, x: Any, w: Any, w0: int, scales: Any, share: int, panel: Any, m0: int, m1: int, n0: int, n1: int
    ) -> None:
        """`share` numbers of w have a scale in common, and its rows are stored as whole groups. Few rows of x multiply
        the stored weights themselves; for more, a block of w at a time is expanded into `panel`.
        """
        apart()
        K = x.shape[1]
        stride = (K + group - 1) // group * group
        block = K_BLOCK if grouped else share
        n_rest = n0
        if m1 - m0 <= FEW:
            stream = (n1 - n0) // STREAMS
            n_rest += stream * STREAMS
            few_rows(out, x, w, w0, scales, share, block, m0, m1, n0, stream)
        for k in range(0, K, block):
            length, expanded = min(block, K - k), min(block, stride - k)
            for n in range(n_rest, n1, _N_BLOCK):
                n_end = min(n + _N_BLOCK, n1)
                for row in range(n, n_end):
                    source = w0 + row * stride + k
                    expand(panel, (row - n) * block, w, source, scales, source // share, expanded)
                _block(out, x, m0, m1, k, length, panel, ZERO, block, n, n_end)

    return dots


dots_bfloat16, dots_int8, dots_int4, dots_float16 = (_dots(stored) for stored in _REDUCED)


def outer_band(vectors: int, stored: Format | None = None, *, ahead: bool = False) -> Any:
    """Outer products over a band of columns, `width` at a time: tiles of several rows, then of two and of one."""
    several = outer_tile(OUTER_ROWS, vectors, stored, ahead=ahead)
    pair = outer_tile(2, vectors, stored)
    single = outer_tile(1, vectors, stored)
    width = max(1, vectors * LANES)

    @variant(vectors, ahead, stored.name if stored else "")
    def band(
        out: Any, out0: int, out_stride: int, a: Any, a0: int, a_row: int, a_k: int, b: Any, b0: int, b_stride: int,
        rows: int, n0: int, n1: int, terms: int,
    ) -> None:  # fmt: skip
        apart()
        full = rows // OUTER_ROWS * OUTER_ROWS
        pairs = rows - (rows - full) % 2
        for n in range(n0, n1, width):
            for m in range(0, full, OUTER_ROWS):
                am, place = a0 + m * a_row, out0 + m * out_stride + n
                several(a, am, a_row, a_k, b, b0 + n, b_stride, terms, out, place, out_stride)
            for m in range(full, pairs, 2):
                am, place = a0 + m * a_row, out0 + m * out_stride + n
                pair(a, am, a_row, a_k, b, b0 + n, b_stride, terms, out, place, out_stride)
            for m in range(pairs, rows):
                am, place = a0 + m * a_row, out0 + m * out_stride + n
                single(a, am, a_row, a_k, b, b0 + n, b_stride, terms, out, place, out_stride)

    return band


def outer_product(stored: Format | None = None) -> Any:
    """A kernel that adds the product of two matrices, the second one in a format of its own where one is named."""
    panels = outer_band(OUTER_VECTORS, stored)
    vectors = outer_band(1, stored)
    singles = outer_band(0, stored)

    @variant(stored.name if stored else "")
    def add_outer(
        out: Any, out0: int, out_stride: int, a: Any, a0: int, a_row: int, a_k: int, b: Any, b0: int, b_stride: int,
        rows: int, columns: int, terms: int,
    ) -> None:  # fmt: skip
        """out[m, n] += sum over i < terms of a[m, i]·b[i, n] for m < rows, n < columns.

        Places and strides count numbers.
        """
        apart()
        n_panel = columns // PANEL * PANEL
        n_vector = columns // LANES * LANES
        for i in range(0, terms, SUM_BLOCK):
            count = min(SUM_BLOCK, terms - i)
            ai, bi = a0 + i * a_k, b0 + i * b_stride
            panels(out, out0, out_stride, a, ai, a_row, a_k, b, bi, b_stride, rows, ZERO, n_panel, count)
            vectors(out, out0, out_stride, a, ai, a_row, a_k, b, bi, b_stride, rows, n_panel, n_vector, count)
            singles(out, out0, out_stride, a, ai, a_row, a_k, b, bi, b_stride, rows, n_vector, columns, count)

    return add_outer


add_outer = outer_product()

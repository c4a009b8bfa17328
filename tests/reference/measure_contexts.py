"""What a long context costs a token: a small model with room for 16,384 positions, in each precision.

python tests/reference/measure_contexts.py [POSITIONS]
"""

from __future__ import annotations

import statistics
import sys

from sg_core.config import GPT2Config
from sg_core.gpt2 import GPT2
from sg_core.inference.sampling import Sampling
from sg_core.measure.benchmark import peak_memory
from sg_core.network.precisions import PRECISIONS

CONFIG = GPT2Config(vocab_size=1024, n_ctx=16_384, n_layer=4, n_head=8, n_embd=512)
PLACES = (16, 1024, 4096, 8192, 16_384)
TOKENS = 32  # of which each figure is the median


def main() -> None:
    """Print ms/token, the attention in it, and the memory of the cache, at some places of a text."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else CONFIG.n_ctx
    print(f"{CONFIG.n_layer} layers x {CONFIG.n_embd}, {CONFIG.n_head} heads, a context of {CONFIG.n_ctx:,}")
    model = GPT2.random(CONFIG, seed=1)
    for precision in PRECISIONS:
        session = model.session(precision=precision)
        for place in (place for place in PLACES if place <= most):
            ids = [number * 7919 % CONFIG.vocab_size for number in range(place - TOKENS if place > TOKENS else 1)]
            tokens = list(session.generate(ids, TOKENS, Sampling(temperature=0.0)))[2:]
            ms = statistics.median(token.ms for token in tokens)
            attention = statistics.median(token.op_ms["attention"] for token in tokens)
            cache = sum(array.nbytes for array in session.decoder.cache.arrays())
            print(
                f"{precision:5} position {place:6,}: {ms:7.3f} ms/token, attention {attention:7.3f}, "
                f"cache {cache / 1e6:7,.1f} MB, peak {peak_memory() / 1e6:7,.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()

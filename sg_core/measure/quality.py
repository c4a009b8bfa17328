"""What a precision costs in quality: perplexity on a validation text, and the KL divergence from f32.

The logits are those of a session, by the kernels it generates with (GELU table included), in windows of the context
without overlap, as a validation loss is computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sg_core.errors import SettingError
from sg_core.gpt2 import GPT2
from sg_core.memory import aligned
from sg_core.network.precisions import PRECISIONS
from sg_core.training.dataset import TextDataset
from sg_core.training.growing_ids import Ids
from sg_core.training.texts import read_text
from sg_core.types import Cancelled, Count, FloatArray, Progress

PIECE = 64  # positions in one pass: their logits are what takes memory

Doubles = npt.NDArray[np.float64]
Windows = list[tuple[Ids, Ids]]


@dataclass(frozen=True, slots=True)
class ValidationText:
    """What is predicted. windows: inputs and targets, int32 (T,); characters: what the targets stand for."""

    windows: Windows
    characters: int

    @property
    def tokens(self) -> int:
        """How many are predicted."""
        return sum(len(targets) for _, targets in self.windows)


@dataclass(frozen=True, slots=True)
class Quality:
    """One precision on one text. loss and f32_loss: mean nats per token; kl: mean nats per token, of f32 to this."""

    precision: str
    tokens: int
    characters: int
    loss: float
    f32_loss: float
    kl: float

    @property
    def perplexity(self) -> float:
        """exp of the loss."""
        return math.exp(self.loss)

    @property
    def perplexity_ratio(self) -> float:
        """To the perplexity of f32: 1.005 is half a percent more."""
        return math.exp(self.loss - self.f32_loss)

    @property
    def nats_per_char(self) -> float:
        """Comparable between vocabularies."""
        return self.loss * self.tokens / self.characters


def validation_text(
    model: GPT2,
    source: str = "tinyshakespeare",
    tokens: int | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> ValidationText:
    """The last tenth of a text (see texts.read_texts) in the model's tokens, in windows of its context.

    tokens: about so many, in windows spread evenly; None for all. Raises SettingError for a model without tokenizer,
    and DataError and DownloadError as read_text does.
    """
    tokenizer = model.tokenizer
    if tokenizer is None:
        raise SettingError(f"{model.name} has no tokenizer files; quality is measured on a text")
    texts = read_text(source, progress, cancelled)
    dataset = TextDataset.from_texts(texts, tokenizer, progress, cancelled)
    windows = list(dataset.validation_windows(model.config.n_ctx, tokens or 0))
    characters = sum(len(tokenizer.decode(targets.tolist())) for _, targets in windows)
    return ValidationText(windows, characters)


def measure_quality(
    model: GPT2,
    precisions: Sequence[str],
    text: ValidationText,
    threads: int | None = None,
    progress: Count | None = None,
    cancelled: Cancelled | None = None,
) -> list[Quality] | None:
    """The quality of each precision, in their order; None when cancelled, which is asked between two passes.

    progress(tokens done, tokens in all). Raises SettingError for an unknown precision.
    """
    readers = {name: _Reader(model, name, threads) for name in (PRECISIONS[0], *precisions)}
    exact, *others = readers.values()
    done = 0
    for inputs, targets in text.windows:
        for start in range(0, len(inputs), PIECE):
            if cancelled is not None and cancelled():
                return None
            wanted = targets[start : start + PIECE]
            logprobs = exact.read(inputs, start)
            exact.count(logprobs, logprobs, wanted)
            for reader in others:
                reader.count(reader.read(inputs, start), logprobs, wanted)
            done += len(wanted)
            if progress is not None:
                progress(done, text.tokens)
    tokens, f32_loss = text.tokens, exact.loss / text.tokens
    return [
        Quality(name, tokens, text.characters, readers[name].loss / tokens, f32_loss, readers[name].kl / tokens)
        for name in precisions
    ]


class _Reader:
    """A session that reads windows; `loss` and `kl` are sums over the tokens so far."""

    def __init__(self, model: GPT2, precision: str, threads: int | None) -> None:
        self.loss = self.kl = 0.0
        self._decoder = model.session(precision=precision, threads=threads).decoder
        self._decoder.reserve(model.config.n_ctx)
        self._logits = aligned(PIECE, model.config.vocab_size)

    def read(self, inputs: Ids, start: int) -> Doubles:
        """Log-probabilities (n, V) after each of up to PIECE tokens from `start` on; those before have been read."""
        piece = np.array(inputs[None, start : start + PIECE], np.int32)
        n = piece.shape[1]
        self._decoder.decode_many(piece, start + n, self._decoder.cache, self._logits, (0, n))
        return _log_softmax(self._logits[:n])

    def count(self, logprobs: Doubles, exact: Doubles, targets: Ids) -> None:
        """Add what the tokens (n,) cost, and how far their distributions lie from the exact ones."""
        self.loss -= float(logprobs[np.arange(len(targets)), targets].sum())
        if logprobs is not exact:
            self.kl += float((np.exp(exact) * (exact - logprobs)).sum())


def _log_softmax(logits: FloatArray) -> Doubles:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted

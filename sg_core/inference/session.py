"""Text in, tokens out: a decoder of ids with a tokenizer, the settings of the draws, and what has been looked up."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import numpy.typing as npt

from sg_core.checks import whole
from sg_core.errors import SettingError
from sg_core.inference.branch import common
from sg_core.inference.continuations import Continuations
from sg_core.inference.decoder import Decoder
from sg_core.inference.drafting import Drafting
from sg_core.inference.generation import Generation
from sg_core.inference.sampling import MOST_AT_ONCE, Sampling
from sg_core.inference.speculation import Lookup
from sg_core.inference.tree import Branches
from sg_core.inference.writer import Processor, Writer, check_request
from sg_core.network.interventions import Interventions
from sg_core.network.model import Model
from sg_core.network.optimizations import Optimizations
from sg_core.network.precisions import Precision
from sg_core.network.probes import Probes
from sg_core.network.weights import bytes_read
from sg_core.notices import tell
from sg_core.text.marked_text import MarkedText
from sg_core.text.text_stream import TextStream
from sg_core.text.tokenizer import Tokenizer
from sg_core.types import Cancelled, Count


class Session:
    """Generates one text with `model`. Not to be used by two threads at once.

    `optimizations`, `precision`, `threads`, `sampling`, `probes` and `interventions` may be set at any time; they act
    from the next token on. decoder: the same text as ids, a step at a time (see `Decoder.step`). branches: texts that
    prompts have left, where `branches.most` is set.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer | None,
        optimizations: Optimizations,
        precision: str = "f32",
        threads: int | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.decoder = Decoder(model, optimizations, precision, threads)
        self.branches = Branches(self.decoder)
        self.lookup = Lookup()
        self.drafting = Drafting()
        self._sampling = Sampling()
        self._generation: Generation | Continuations | None = None

    # ------------------------------------------------------------ settings

    @property
    def sampling(self) -> Sampling:
        """How the next token is chosen, also of a running generation."""
        return self._sampling

    @sampling.setter
    def sampling(self, sampling: Sampling) -> None:
        self._sampling = sampling
        if self._generation is not None:
            self._generation.sampling = sampling

    @property
    def optimizations(self) -> Optimizations:
        """Which computations are not redone for earlier tokens; the text does not depend on it."""
        return self.decoder.optimizations

    @optimizations.setter
    def optimizations(self, optimizations: Optimizations) -> None:
        self.decoder.optimizations = optimizations

    @property
    def precision(self) -> str:
        """How the weights are stored: see `network.precisions`. Raises SettingError when set to another."""
        return self.decoder.precision

    @precision.setter
    def precision(self, precision: str) -> None:
        self.decoder.precision = precision

    @property
    def threads(self) -> int:
        """Threads that compute a token; the text does not depend on it. Raises SettingError."""
        return self.decoder.threads

    @threads.setter
    def threads(self, count: int) -> None:
        self.decoder.threads = count

    @property
    def probes(self) -> Probes:
        """What is to be seen in `token.activations`. Raises SettingError when set to what the model has not."""
        return self.decoder.probes

    @probes.setter
    def probes(self, probes: Probes) -> None:
        self.decoder.probes = probes

    @property
    def interventions(self) -> Interventions:
        """What is changed inside: the text goes on as if it had been so from its first token. Raises SettingError."""
        return self.decoder.interventions

    @interventions.setter
    def interventions(self, interventions: Interventions) -> None:
        self.decoder.interventions = interventions

    # ------------------------------------------------------------ the text

    @property
    def ids(self) -> list[int]:
        """The whole text, also what the context has no room for."""
        return self.decoder.ids

    @property
    def context_size(self) -> int:
        """The most tokens that the model sees."""
        return self.decoder.context_size

    @property
    def context_used(self) -> int:
        """How many tokens of the text the model sees."""
        return min(self.decoder.positions, self.context_size)

    @property
    def finish_reason(self) -> str:
        """Of the last `generate`: "length", "stop", "end of text" or "stopped"; "" before the first. Of several
        continuations that of the last one, "stopped" where any was."""
        return "" if self._generation is None else self._generation.finish_reason

    @property
    def prefill_ms(self) -> float:
        """What the prompt of the last `generate` took, without its last position."""
        return 0.0 if self._generation is None else self._generation.prefill_ms

    @property
    def activation_bytes(self) -> int:
        """Memory of the activations between operations; more while a switch that is off needs earlier rows."""
        return self.decoder.activation_bytes

    @property
    def drafter(self) -> str:
        """The precision whose weights write ahead, "" where no cheaper ones can be had."""
        return self.model.drafter(self.precision)

    @property
    def draft_note(self) -> str:
        """What writing ahead takes here, or why it can't be done, in one line."""
        if not (drafter := self.drafter):
            return f"draft does nothing here: there are no cheaper weights than {self.precision} of this model"
        size = bytes_read(self.model.config, Precision.named(drafter)) / 1e6
        return f"draft: {drafter} weights, {size:,.0f} MB more, write ahead"

    @property
    def drafted(self) -> int:
        """Tokens that were written ahead, by lookup or by reduced weights."""
        return self.lookup.drafted + self.drafting.drafted

    @property
    def accepted(self) -> int:
        """Those of `drafted` that the text kept."""
        return self.lookup.accepted + self.drafting.accepted

    @property
    def rounds(self) -> int:
        """Passes in which drafts were tried: each gave the drafts it kept and one token more."""
        return self.lookup.rounds + self.drafting.rounds

    def rewind(self, n: int) -> None:
        """Keep the first n tokens of the text; their cache stays valid. Raises SettingError when there are fewer."""
        self.decoder.rewind(n)
        self.lookup.forget(n)

    def fork(self, n: int) -> Session:
        """Another session that begins with the first n tokens of the text, with every setting of this one.

        It shares their KV cache; whoever would change what both hold copies it first. Where the context moved on since
        those tokens they are computed once more, which `notices` tells. Raises SettingError when there are fewer.
        """
        fork = copy(self)
        fork.decoder = self.decoder.fork(n)
        fork.branches = Branches(fork.decoder, self.branches.most)
        fork.lookup, fork.drafting = Lookup(), Drafting()
        fork._generation = None
        if fork.decoder.first != self.decoder.first:
            tell(
                f"a fork at token {n:,} lies before what the model still sees of the text, from token "
                f"{self.decoder.first:,} on: what comes before it is computed once more"
            )
        return fork

    # ------------------------------------------------------------ generating

    def generate(
        self,
        prompt: str | Sequence[int],
        max_tokens: int = 200,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        progress: Count | None = None,
        cancelled: Cancelled | None = None,
        processors: Sequence[Processor] = (),
        *,
        special: bool = False,
    ) -> Generation:
        """Continue `prompt`, a text or token ids. What the session already holds of it is not computed again.

        special: special tokens in a text are their ids, not the characters they are written with. sampling None keeps
        the session's. progress(done, total) is called while the prompt is computed; cancelled() is asked between two
        calls. processors: each is called once a token, as (ids so far, logits (V,)), and may change the logits: -inf
        forbids a token; `token.logprob` and `token.top` stay the model's own. Everything is checked before the first
        token is asked for. Raises SettingError.
        """
        check_request(max_tokens, stop)
        if sampling is not None:
            self.sampling = sampling
        ids = self.prompt_ids(prompt, special)
        self.turn_to(ids)
        writer = Writer(self.model, self.tokenizer, stop, processors)
        self._generation = generation = Generation(
            self.decoder, self.lookup, self.drafting, writer, self._sampling, ids, max_tokens, progress, cancelled
        )
        return generation

    def generate_many(
        self,
        prompt: str | Sequence[int],
        n: int = 4,
        max_tokens: int = 200,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        progress: Count | None = None,
        cancelled: Cancelled | None = None,
        *,
        special: bool = False,
    ) -> Continuations:
        """n continuations of `prompt` at once: (number, token) for each in turn, until all are finished.

        Continuation i is what `generate` gives with the seed raised by i, also where the context moves on. All are
        decoded in one pass over the weights and share what is computed of the prompt; earlier rows are never computed
        again, and a token's `ms` is that of its whole pass. The session then holds the prompt alone. Raises
        SettingError.
        """
        check_request(max_tokens, stop)
        whole("n", n, 1, MOST_AT_ONCE)
        if sampling is not None:
            self.sampling = sampling
        ids = self.prompt_ids(prompt, special)
        self.turn_to(ids)
        replace(self._sampling, seed=self._sampling.seed + n - 1)  # raises SettingError where there is no such seed
        writers = [Writer(self.model, self.tokenizer, stop) for _ in range(n)]
        several = Continuations(
            self.decoder, self.lookup, writers, self._sampling, ids, max_tokens, progress, cancelled
        )
        self._generation = several
        return several

    def turn_to(self, ids: Sequence[int]) -> None:
        """Hold what was computed of any text that has most in common with `ids`; what is left for it waits."""
        same = common(self.ids, ids)
        self.branches.turn_to(ids)
        self.lookup.forget(same)

    def texts(self, ids: Sequence[int]) -> tuple[str, ...]:
        """The text that each of some ids adds, "" for special ones; joined they are the whole."""
        if self.tokenizer is None or not ids:
            return ("",) * len(ids)
        decoder, stream = self.tokenizer.decoder(), TextStream()
        texts = [stream.push(decoder.push(id)) for id in ids]
        texts[-1] += stream.push(decoder.finish()) + stream.finish()
        return tuple(texts)

    def prompt_ids(self, prompt: str | Sequence[int] | npt.ArrayLike, special: bool = False) -> list[int]:
        """Ids of a prompt. An empty one stands for a line break, the beginning of a text. Raises SettingError."""
        if not isinstance(prompt, str):
            ids: list[int] = self.model.known_ids(prompt).tolist()
        elif self.tokenizer is None:
            raise SettingError(f"{self.model.name} has no tokenizer files; give token ids instead of a text")
        else:
            ids = self.tokenizer.encode_prompt(MarkedText([(prompt, True)]) if special and prompt else prompt or "\n")
        return ids or [0]

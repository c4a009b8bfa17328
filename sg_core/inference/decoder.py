"""Ids in, logits out: one text as the model sees it, with its KV cache and activations. Knows no characters."""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import copy

import numpy as np
import numpy.typing as npt

from sg_core.checks import MOST_THREADS, is_whole, quoted, whole
from sg_core.errors import SettingError
from sg_core.inference.branch import Branch, common, window_start
from sg_core.inference.draft_pass import DraftPass
from sg_core.inference.threads import default_threads
from sg_core.kernels.team import Team
from sg_core.memory import aligned
from sg_core.network.activations import Activations
from sg_core.network.forward import Pass
from sg_core.network.interventions import Interventions
from sg_core.network.kv_cache import KVCache
from sg_core.network.model import Model
from sg_core.network.optimizations import STAGES, Optimizations
from sg_core.network.probes import Probes
from sg_core.network.screen import Screen
from sg_core.network.window import Window
from sg_core.types import Cancelled, Count, FloatArray

_LEAST_CHUNK, _MOST_CHUNK = 64, 512  # positions of a prompt computed in one call: a stop is seen between two calls
_CHUNK_WORK = 65e9  # multiplications of such a call: a fraction of a second
_MOST_ROWS = 8  # of logits that are kept for the next pass; more are given back


class Decoder:
    """The ids of one text, and what is computed of them. Not to be used by two threads at once.

    `optimizations`, `precision`, `threads`, `probes` and `interventions` may be set at any time; they act from the next
    pass on. Whatever changes values (precision, interventions, the weights themselves) makes what was computed before
    invalid: the text goes on as if it had been so from its first token.

        decoder.start(ids[:-1]); logits = decoder.step(ids[-1])

    ids: the text. first: where the window begins through which it is seen, whose first token has position 0; a text
    longer than the context is seen from a multiple of half of it, by its length alone. edits: rises when it changes
    otherwise than by an id at the end. times (8,) int64: nanoseconds of each of block.OPERATIONS in the last pass.
    current_pass: the weights, the adapters and the threads of the next one.
    """

    def __init__(
        self, model: Model, optimizations: Optimizations, precision: str = "f32", threads: int | None = None
    ) -> None:
        self.model = model
        self.optimizations = optimizations
        self.context_size = model.config.n_ctx
        self.ids: list[int] = []
        self.first = 0
        self.edits = 0
        self.advance_ns = 0  # what the last position took, where it was computed with those before it
        self.prefill_ns = 0  # what those before it took, in the last `prefill`
        self._computed = 0  # positions of the window whose keys and values stand in the cache
        self._kept = 0  # positions whose activations are kept
        self._ready = 0  # > 0: logits of the last position stand ready, from a pass of so many rows
        # more positions at once read the weights less often; a large model takes fewer, so that a stop does not wait
        wanted = max(_LEAST_CHUNK, _CHUNK_WORK / model.config.parameter_count)
        self._chunk = int(min(self.context_size, _MOST_CHUNK, wanted))
        self._probes, self._interventions = Probes(), Interventions()
        self._guesses: DraftPass | None = None  # of the weights that write ahead, once one was asked for
        self._make_room()
        count = default_threads(4 * model.config.parameter_count) if threads is None else threads
        self._team = Team(whole("threads", count, 1, MOST_THREADS))
        self._load(precision)
        self.cache = self.empty_cache(0)

    def _make_room(self) -> None:
        """Memory of its own for what a pass needs and gives."""
        self._shared = Activations(self.model.config, _LEAST_CHUNK, kept=False)
        self._activations = self._shared
        self._logits = aligned(1, self.model.config.vocab_size)
        self._starts = np.zeros(len(STAGES), np.int64)
        self._window: Window | None = None
        self._look(self._probes, self._interventions)

    # ------------------------------------------------------------ settings

    def _load(self, precision: str) -> None:
        weights = self.model.weights(precision)
        self._version, self._guesses = self.model.version, None
        self.current_pass = Pass(self.model.parameters, weights, self._team, self.model.adapters)

    @property
    def threads(self) -> int:
        """Threads that compute a token; the text does not depend on it. Raises SettingError."""
        return self._team.threads

    @threads.setter
    def threads(self, count: int) -> None:
        self._use(Team(whole("threads", count, 1, MOST_THREADS)))

    def _use(self, team: Team) -> None:
        self._team, self._guesses = team, None
        self.current_pass = Pass(self.model.parameters, self.current_pass.weights, self._team, self.model.adapters)

    @property
    def precision(self) -> str:
        """How the weights are stored; another one drops what was computed. Raises SettingError when set to another."""
        return self.current_pass.weights.precision

    @precision.setter
    def precision(self, precision: str) -> None:
        changed = precision != self.precision
        self._load(precision)
        if changed:
            self.cache = self.empty_cache(0)
            self._forget(0, 0)

    @property
    def probes(self) -> Probes:
        """What is kept of each pass; see `activations`. Raises SettingError when set to what the model has not."""
        return self._probes

    @probes.setter
    def probes(self, probes: Probes) -> None:
        self._look(probes, self._interventions)
        self._forget(self._computed, self._kept)  # the last position is computed once more, with the probes

    @property
    def interventions(self) -> Interventions:
        """What is changed inside. Raises SettingError when set to what the model has not."""
        return self._interventions

    @interventions.setter
    def interventions(self, interventions: Interventions) -> None:
        if interventions is not self._interventions:
            self._look(self._probes, interventions)
            self._forget(0, 0)

    def _look(self, probes: Probes, interventions: Interventions) -> None:
        self._window = Window(self.model.config, probes, interventions) if probes or interventions else None
        self._guesses = None
        self._probes, self._interventions = probes, interventions

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """(8,) nanoseconds of each operation in the last pass."""
        return self.current_pass.times

    @property
    def activation_bytes(self) -> int:
        """Memory of the activations between operations; more while a switch that is off needs earlier rows."""
        return self._activations.arena.nbytes

    # ------------------------------------------------------------ the text

    @property
    def seen(self) -> list[int]:
        """The ids within the window."""
        return self.ids[self.first :] if self.first else self.ids

    @property
    def positions(self) -> int:
        """How many they are."""
        return len(self.ids) - self.first

    def start(self, ids: Sequence[int]) -> int:
        """Take `ids` as the text so far, keeping the cache of the part that is the same. Returns its length."""
        self.follow(self.model.current_version())
        same = common(self.ids, ids)
        self.ids = list(ids)
        self._seen_from(window_start(len(self.ids), self.context_size))
        # the last position is always computed again: its logits are what is wanted
        held = max(0, min(same, len(self.ids) - 1) - self.first)
        self._forget(min(self._computed, held), min(self._kept, max(0, same - self.first)))
        return same

    def rewind(self, n: int) -> None:
        """Keep the first n ids; what was computed of them stays valid where the window begins at the same place.

        Raises SettingError when there are fewer.
        """
        if not is_whole(n, 0, len(self.ids)):
            raise SettingError(f"rewind to {quoted(n)} is not possible; the session holds {len(self.ids)} tokens")
        del self.ids[n:]
        self._seen_from(window_start(n, self.context_size))
        self._forget(min(self._computed, self.positions), min(self._kept, self.positions))

    def fork(self, n: int) -> Decoder:
        """Another decoder with the first n ids and every setting; it shares what is computed of them.

        Raises SettingError when there are fewer.
        """
        if not is_whole(n, 0, len(self.ids)):
            raise SettingError(f"a fork at {quoted(n)} is not possible; the session holds {len(self.ids)} tokens")
        new = copy(self)
        new._make_room()
        new._use(self._team.another())
        new.go_on(self.leave().fork(n, window_start(n, self.context_size)))
        return new

    def leave(self) -> Branch:
        """The text and what is computed of it, for another decoder or until this one goes on with it."""
        return Branch(list(self.ids), self.first, self._computed, self.cache)

    def go_on(self, branch: Branch) -> None:
        """Take a branch as the text. Nobody else may use it any more."""
        self.ids, self.first, self.cache, self._activations = branch.ids, branch.first, branch.cache, self._shared
        self._forget(branch.computed, 0)

    def setting(self) -> object:
        """What the values in the cache depend on, beside the ids."""
        return self.precision, self._interventions, self._version

    def move_window(self) -> int:
        """Let a text that the context can't hold any more be seen from a later place: how many ids are then, else 0."""
        if self.positions <= self.context_size:
            return 0
        self._seen_from(window_start(len(self.ids), self.context_size))
        return self.positions

    def forget(self) -> None:
        """Let everything be computed again."""
        self._forget(0, 0)

    def _seen_from(self, first: int) -> None:
        if first != self.first:
            self.first = first
            self._forget(0, 0)

    def _forget(self, computed: int, kept: int) -> None:
        self._computed, self._kept, self._ready = computed, kept, 0
        self.edits += 1
        if computed < self.cache.writable_from:  # what others read stays as it is
            self.cache = self.cache.fork(computed, computed)

    def follow(self, version: int) -> None:
        """Forget what was computed with weights, or adapters, that have changed since: with another version."""
        if version != self._version:
            self._load(self.precision)
            self._forget(0, 0)

    def empty_cache(self, positions: int, count: int = 1) -> KVCache:
        """Room for so many positions of some texts, in the width of the precision."""
        return KVCache(self.model.config, self.current_pass.weights.storage.cached, positions, count)

    def reserve(self, positions: int) -> None:
        """Make room for this many positions, up to the context size; the cache keeps its content."""
        wanted = min(self.context_size, positions)
        if wanted <= self.cache.positions and self.cache.capacity:
            return
        self.cache = self.cache.grown(wanted, self._computed)
        if self._activations.kept:  # made anew, and filled, before the next token
            self._activations, self._kept = self._shared, 0

    # ------------------------------------------------------------ passes

    def step(self, *ids: int) -> FloatArray:
        """Add ids to the text and compute what was not computed yet: logits (V,) of the next id, a copy.

        Raises SettingError for ids outside the vocabulary, and when the context is full.
        """
        new = self.model.known_ids(list(ids)).tolist()
        length = self.positions + len(new)
        if not 1 <= length <= self.context_size:
            raise SettingError(f"the text would have {length} tokens; the context takes from 1 to {self.context_size}")
        self.ids += new
        self.follow(self.model.current_version())
        self._computed = min(self._computed, self.positions - 1)
        self.reserve(self.positions)
        self.prefill(None, None)
        return np.array(self.decode()[0])

    def prefill(self, progress: Count | None, cancelled: Cancelled | None) -> bool:
        """Compute what comes before the last position, and that one with it where it costs no pass of its own.

        Returns False when it was cancelled; what was computed until then counts.
        """
        self.follow(self.model.version)
        self._choose_activations()
        self.advance_ns = self.prefill_ns = 0
        kept = self._activations.kept
        first, last = min(self._computed, self._kept) if kept else self._computed, self.positions
        if first >= last - 1:
            return True
        seen = self.seen
        if kept:
            last -= 1
        elif self._shared.rows < min(self._chunk, last - first):
            self._activations = self._shared = Activations(self.model.config, self._chunk, kept=False)
        for start in range(first, last, self._chunk):
            if cancelled is not None and cancelled():
                return False
            began = time.perf_counter_ns()
            stop = min(start + self._chunk, last)
            rows = stop - start
            ready = rows if stop == len(seen) else 0
            self._starts.fill(start)
            self._compute(seen[start:stop], stop, (rows - 1, rows) if ready else (0, 0))
            self._hold(stop)
            self._ready = ready
            took = time.perf_counter_ns() - began
            self.advance_ns = took // ready if ready else 0
            self.prefill_ns += took - self.advance_ns
            if progress is not None:
                progress(stop - first, last - first)
        return True

    @property
    def ready(self) -> bool:
        """Whether the last position has been computed with those before it: `decode` then costs nothing."""
        return self._ready > 0

    def decode(self, draft: Sequence[int] = (), screen: Screen | None = None) -> FloatArray:
        """Compute the last position, and those of a draft that may follow.

        Returns their logits (1 + len(draft), V), valid until the next call; of these a screen leaves the likeliest. The
        draft is no part of the text: `accept` tells that its first id has become one.
        """
        ready, self._ready = self._ready, 0
        if ready and not draft:
            self.times[:] //= ready
            return self._logits[:1]
        on, new = self.optimizations, self.positions - 1
        stop = new + 1 + len(draft)
        self._starts[:] = on.starts(new)
        rows = 1 + len(draft) if on.unembedding else stop
        if self._logits.shape[0] < rows or self._logits.shape[0] > max(rows, _MOST_ROWS):
            most = (_MOST_ROWS if on.bursts else 1) if on.unembedding else self.cache.positions
            self._logits = aligned(max(most, rows), self.model.config.vocab_size)
        base = 0 if self._activations.kept else new
        last = slice(stop - base - rows, stop - base)
        screen = screen if screen and on.unembedding and screen.fits(self.current_pass.weights) else None
        self._compute([self.ids[-1], *draft], stop, (0, 0) if screen else (last.start, last.stop), 1 + len(draft))
        if screen:
            screen.fill(self._logits[:rows], self._activations.final()[last], self.current_pass)
        self._hold(new + 1)
        return self._logits[rows - 1 - len(draft) : rows]

    def guess(self, draft: Sequence[int]) -> FloatArray:
        """Logits (V,) after the text and a draft that may follow it, by the cheaper weights; valid until the next call.

        What they put into the cache, at the last id of both, is replaced by the pass that computes the draft.
        """
        if self._guesses is None:
            self._guesses = DraftPass(self.model, self.precision, self._team, self._interventions)
        position, id = self.positions - 1 + len(draft), [self.ids[-1], *draft][-1]
        return self._guesses.logits(id, position, self._shared, self.cache, self.optimizations.gelu_table)

    def accept(self) -> None:
        """The last id was the first of the draft: its position has been computed."""
        self._hold(self.positions)

    def activations(self, row: int = 0) -> dict[str, FloatArray]:
        """What the probes saw, by name, at the position that gave a row of the last pass's logits."""
        return {} if self._window is None or not self._probes else self._window.row(row)

    @property
    def rows(self) -> int:
        """The most positions of all texts together in a pass of `decode_many`."""
        return self._shared.rows

    def decode_many(
        self, ids: npt.NDArray[np.int32], stop: int, cache: KVCache, logits: FloatArray, wanted: tuple[int, int]
    ) -> None:
        """One pass over new ids (B, n) of B texts at positions stop-n:stop, whose caches are `cache`, side by side.

        `wanted` rows of the last norm become rows of logits. Earlier rows are left alone, whatever the optimizations.
        Probes keep what they see at the last position of each.
        """
        B, n = ids.shape
        self._starts.fill(stop - n)
        window = None if self._window is None else self._window.open(B, stop - n, stop, 1, cache.positions)
        self.current_pass.run(
            ids, stop, self._starts, self._shared, logits, wanted,
            cache=cache, use_table=self.optimizations.gelu_table, window=window,
        )  # fmt: skip

    def _compute(self, new_ids: Sequence[int], stop: int, wanted: tuple[int, int], kept: int = 1) -> None:
        """kept: of so many positions, the last ones, probes keep what they see."""
        base = 0 if self._activations.kept else stop - len(new_ids)
        window = None if self._window is None else self._window.open(1, base, stop, kept, self.cache.positions)
        self.current_pass.run(
            np.array([new_ids], np.int32), stop, self._starts, self._activations, self._logits, wanted,
            cache=self.cache, use_table=self.optimizations.gelu_table, window=window,
        )  # fmt: skip

    def _hold(self, count: int) -> None:
        """The first `count` positions are computed."""
        self._computed = count
        self._kept = count if self._activations.kept else 0

    def _choose_activations(self) -> None:
        """Kept activations while a switch that is off needs earlier rows; the small shared ones otherwise."""
        needed = self.optimizations.needs_earlier_rows
        if needed and self.cache.writable_from:  # every position is written again
            self.cache = self.cache.alone(self._computed)
        if needed and (not self._activations.kept or self._activations.rows < self.cache.positions):
            self._activations = Activations(self.model.config, self.cache.positions, kept=True)
            self._kept = 0
        elif not needed:
            self._activations, self._kept = self._shared, 0

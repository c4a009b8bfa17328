"""What comes out of the engine thread: frozen, plain data.

Events are appended to `engine.Engine.events`, a deque that the reader drains with `popleft`. The results of a training,
`StepResult`, `Evaluation`, `LayerFigures`, `Trial`, and what is done to its run, a `RunEvent`, are events as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sg_core.config import GPT2Config
from sg_core.engine.commands import Scale
from sg_core.inference.token import Token
from sg_core.measure.benchmark import Timing
from sg_core.measure.race import Lap
from sg_core.network.optimizations import Optimizations
from sg_core.storage.run_log import RunEvent
from sg_core.text.templates import PLAY, Template
from sg_core.training.results import Evaluation, LayerFigures, StepResult, Trial
from sg_core.training.settings import TrainingConfig

if TYPE_CHECKING:
    from sg_core.inference.heads import HeadShares
    from sg_core.inference.inside import Inside


@dataclass(frozen=True, slots=True)
class Phase:
    """What the engine is doing now, and `done` of `total` where that can be counted.

    name: importing, compiling, loading, converting, downloading, learning vocabulary, prefill, decoding, training,
    evaluating, saving, benchmarking, preparing (what may be asked for next: nothing waits for it), paused or idle.
    """

    name: str
    detail: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model is ready."""

    model: str
    config: GPT2Config
    precision: str
    threads: int
    templates: tuple[Template, ...] = (PLAY,)  # of a chat, the one it was trained for first
    adapters: int = 0  # that act on it


@dataclass(frozen=True, slots=True)
class PrecisionSet:
    """The tokens after this are computed in this precision."""

    precision: str


@dataclass(frozen=True, slots=True)
class Prompted:
    """The prompt of a generation has been read; its tokens follow.

    ids, texts: the prompt in tokens; the texts joined are the prompt without its special tokens. kept: so many of
    them had been computed before, for this branch of the text or another. branches, cache_bytes: how many
    branches are held ready to be gone on with, and the memory of what was computed of all of them.
    """

    request: int
    ids: tuple[int, ...]
    texts: tuple[str, ...]
    kept: int
    branches: int
    cache_bytes: int


@dataclass(frozen=True, slots=True)
class AdapterScaleSet:
    """The tokens after this are computed with the adapters faded in so far, 0 to 1."""

    amount: float


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token of a running generation, as the model wrote it: its text is raw, and may be empty.

    wall_ms: from the token before to this one; 0 where the engine had rested or done other work before it, so that its
    caches were cold. interruptions: how often the system took a processor away meanwhile, where it tells. compiling:
    the engine itself compiled kernels beside it.
    """

    request: int
    token: Token
    top_texts: tuple[str, ...]  # of `token.top`, in its order; a part of a character is U+FFFD
    optimizations: Optimizations  # those it was computed with
    precision: str
    number: int = 0  # of the continuation it belongs to
    wall_ms: float = 0.0
    interruptions: int = 0
    compiling: bool = False


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures of the running generation; only the newest matters."""

    request: int
    tokens: int  # of several continuations, those of all
    ms_per_token: float  # of the last 64: the median; with lookup or draft, whose tokens come in bursts, the mean
    p95_ms: float  # of the last 64
    tokens_per_second: float
    first_token_ms: float  # from the command, or from when the engine could begin, to the first token
    prefill_ms: float  # of the prompt
    context_used: int
    context_size: int
    drafted: int = 0  # tokens that were written ahead in this generation
    accepted: int = 0  # those of them that the text kept
    rounds: int = 0  # and the passes that tried them
    waited_ms: float = 0.0  # for kernels to be compiled or a model to be loaded, before all that


@dataclass(frozen=True, slots=True)
class ReadRate:
    """What the machine could do at best: a token reads `bytes_per_token` of weights, at most at `bytes_per_second`.

    The rate is the best seen of reading as many bytes again and again, with so many threads, from the caches if they
    hold them: no token can take less than `bound_ms`.
    """

    precision: str
    threads: int
    bytes_per_token: int
    bytes_per_second: float
    held: str = ""  # how the weights are, where the precision does not tell: "f32 held in 16 bits"

    @property
    def bound_ms(self) -> float:
        """The least time of a token."""
        return self.bytes_per_token / self.bytes_per_second * 1e3


@dataclass(frozen=True, slots=True)
class InterventionsSet:
    """The tokens after this are computed with these changes."""

    scales: tuple[Scale, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """The inside of a token: see `inference.inside.Inside`.

    request: of the Look, or, where it is `live`, of the generation whose newest token it is. texts: of the tokens it
    could look at, raw, which end where it begins. best_texts: of the best token of each row of the lens; text,
    rival_text: of the token and of the one it is compared with, if it is. scales: what was changed then. ms: what
    looking took. rest: characters from where the token begins to the end of what was asked; 0 where it is live.
    """

    request: int
    live: bool
    inside: Inside
    texts: tuple[str, ...]
    best_texts: tuple[str, ...]
    text: str
    rival_text: str
    scales: tuple[Scale, ...]
    ms: float
    rest: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class HeadsMeasured:
    """What each head does. ms: what measuring took."""

    request: int
    heads: HeadShares
    ms: float


@dataclass(frozen=True, slots=True)
class LossCompared:
    """Mean nats of the newest `tokens` tokens of a text that have a probability, seen by themselves.

    changed: with `scales` in force; own: of the model as it is. ms: what comparing took.
    """

    request: int
    tokens: int
    changed: float
    own: float
    scales: tuple[Scale, ...]
    ms: float


@dataclass(frozen=True, slots=True)
class StepsMeasured:
    """How long a planned training takes: `steps` steps and as many validations as `validations` says."""

    request: int
    step_seconds: float  # the median of `measured` steps
    measured: int
    steps: int
    validation_seconds: float
    validations: int

    @property
    def seconds(self) -> float:
        """All of it, but for samples and checkpoints."""
        return self.steps * self.step_seconds + self.validations * self.validation_seconds


@dataclass(frozen=True, slots=True)
class ContextMoved:
    """The context was full: only its newest `kept` tokens are still seen by the model."""

    request: int
    kept: int
    number: int = 0  # of the continuation


@dataclass(frozen=True, slots=True)
class Done:
    """A generation (or benchmark) ended: "length", "stop", "end of text", "stopped" (by the user).

    number: the continuation that ended; of several, each ends with a Done of its own. rest: text of its last tokens
    that a stop found held back, half a character or what might have become a stop string.
    """

    request: int
    reason: str
    tokens: int
    rest: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class TrainingStarted:
    """The run's facts. `first_step` is above 0 after a resume."""

    model: str
    config: GPT2Config
    training: TrainingConfig
    data: str
    train_tokens: int
    validation_tokens: int
    first_step: int
    out: str | None
    events: tuple[RunEvent, ...] = ()  # what was done to the run before


@dataclass(frozen=True, slots=True)
class Sample:
    """A text written by the model as it was after `step`."""

    step: int
    text: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint, complete and verified, is in `folder`."""

    step: int
    folder: str


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The exported model's final norm is scaled; validation losses in nats a character, before and with the scale."""

    step: int
    scale: float
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Exported:
    """The trained model, in Hugging Face layout, is in `folder`: `Load(folder)` opens it.

    adapter: it is an adapter, in PEFT's files, which is loaded with the model that it was trained on.
    """

    step: int
    folder: str
    adapter: bool = False


@dataclass(frozen=True, slots=True)
class RateFound:
    """The end of a search for a learning rate at a step of the run, which is as it was. suggested: by find_lr.RULE."""

    step: int
    suggested: float
    trials: int


@dataclass(frozen=True, slots=True)
class TrainingEnded:
    """reason: "finished", "stopped" or "failed"."""

    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of a benchmark."""

    request: int
    label: str
    timing: Timing


@dataclass(frozen=True, slots=True)
class Raced:
    """One token of each side of a race."""

    request: int
    lap: Lap


@dataclass(frozen=True, slots=True)
class Scored:
    """What the loaded model thinks of each of T tokens of a text: `starts` are the characters where they begin.

    logprobs, entropies: nats, NaN for the first token, which nothing stands before; ranks: 1 for the likeliest, 0 for
    the first. perplexity: per token, NaN without any. window, overlap: tokens that a pass sees, and shares with the
    one before.
    """

    request: int
    starts: tuple[int, ...]
    logprobs: tuple[float, ...]
    ranks: tuple[int, ...]
    entropies: tuple[float, ...]
    perplexity: float
    window: int
    overlap: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth one line that is not a failure."""

    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A command failed; nothing else changed. `request` is None when it was not a generation or benchmark."""

    message: str
    request: int | None = None
    command: str = ""  # its kind: "Load", "Generate", "Train", ...


Event = (
    Phase
    | Loaded
    | PrecisionSet
    | Prompted
    | AdapterScaleSet
    | TokenEvent
    | Metrics
    | ReadRate
    | InterventionsSet
    | Looked
    | HeadsMeasured
    | LossCompared
    | StepsMeasured
    | ContextMoved
    | Done
    | TrainingStarted
    | StepResult
    | Evaluation
    | Sample
    | Saved
    | Calibrated
    | Exported
    | RunEvent
    | Trial
    | LayerFigures
    | RateFound
    | TrainingEnded
    | Measured
    | Raced
    | Scored
    | Notice
    | Failed
)

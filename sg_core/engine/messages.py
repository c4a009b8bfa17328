"""What goes into the engine thread (commands) and what comes out of it (events): frozen, plain data.

`engine.Engine.submit` takes a command from any thread; events are appended to `Engine.events`, a deque that
the reader drains with `popleft`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sg_core.config import GPT2Config
from sg_core.inference.sampling import Sampling
from sg_core.network.optimizations import Optimizations
from sg_core.training.settings import TrainingConfig

# ---------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class Load:
    """Load a model: the shipped name, a Hugging Face folder, or a Hub id. The old one stays till then.

    precision: None for the one set last, "f32" at first; where it does not fit the model, f32 is taken, with a Notice.
    """

    model: str = "tinyshakespeare"
    precision: str | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue `prompt`, the whole text so far: what the session holds of it is not computed again.

    A generation that runs is stopped. Ends with exactly one Done or Failed.
    """

    request: int  # chosen by the sender; comes back in every event of this generation
    prompt: str
    max_tokens: int = 200
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    from_training: bool = False  # True: ask the model that is being trained, as it is now


@dataclass(frozen=True, slots=True)
class SetOptimizations:
    """Takes effect at the next token, also of a running generation."""

    optimizations: Optimizations


@dataclass(frozen=True, slots=True)
class SetSampling:
    """Takes effect at the next token of the running generation."""

    sampling: Sampling


@dataclass(frozen=True, slots=True)
class SetThreads:
    """Number of threads of the session, None for the default; takes effect at the next token."""

    threads: int | None


@dataclass(frozen=True, slots=True)
class SetPace:
    """At most so many tokens a second from now on, so that a reader can follow; 0: as fast as they come.

    The engine rests between them, and the times it tells are those of its work alone.
    """

    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class SetPrecision:
    """How weights are stored from the next token on, also of a running generation, and in models loaded later.

    One of settings.PRECISIONS. Answered by PrecisionSet, or by Failed when it does not fit the loaded model; of several
    that wait only the last is obeyed and answered.
    """

    precision: str


@dataclass(frozen=True, slots=True)
class Train:
    """Start training.

    data: "tinyshakespeare" | "python-docs" | path of a text file.
    model: None for a new model of `config` with a vocabulary learned from the data; else as in Load.
    config: name of a training preset (settings.PRESETS).
    out: folder of the run; None for a fresh one among the runs, or for the resumed run's own.
    resume: folder of an earlier run; data, model, config and training are then the run's own.
    Ends with exactly one TrainingEnded, unless it is refused because another training is there.
    """

    data: str = "tinyshakespeare"
    model: str | None = None
    config: str = "tiny"
    training: TrainingConfig | None = None  # None: the preset's own
    out: str | None = None
    resume: str | None = None
    sample_every: int = 100
    sample_prompt: str = "\n"


@dataclass(frozen=True, slots=True)
class PauseTraining:
    """Training waits, its state stays in memory."""


@dataclass(frozen=True, slots=True)
class ResumeTraining:
    """Training goes on after a pause."""


@dataclass(frozen=True, slots=True)
class StopTraining:
    """Training ends after the current step, its last state saved. If it can't be saved the training pauses instead;
    a second stop then gives up what was not saved."""


@dataclass(frozen=True, slots=True)
class SaveTraining:
    """Save the training into `folder` now, and from here on: the way out when its own folder failed."""

    folder: str


@dataclass(frozen=True, slots=True)
class Bench:
    """Measure the ladder (or all 128 combinations) on the loaded model; each row comes as a BenchRow.

    Refused while a training runs, which would disturb it. Ends with exactly one Done or Failed.
    """

    request: int
    tokens: int = 64
    every_combination: bool = False


Command = (
    Load
    | Generate
    | SetOptimizations
    | SetSampling
    | SetThreads
    | SetPace
    | SetPrecision
    | Train
    | PauseTraining
    | ResumeTraining
    | StopTraining
    | SaveTraining
    | Bench
)

# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Phase:
    """What the engine is doing now, and `done` of `total` where that can be counted.

    name: importing, compiling, loading, converting, downloading, learning vocabulary, prefill, decoding, training,
    evaluating, saving, benchmarking, paused or idle.
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


@dataclass(frozen=True, slots=True)
class PrecisionSet:
    """The tokens after this are computed in this precision."""

    precision: str


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a running generation. `text` is raw model output, safe to concatenate; it may be empty."""

    request: int
    id: int
    text: str
    logprob: float  # natural log of the probability the model gave it, before sampling settings
    top: tuple[tuple[int, float, str], ...]  # the likeliest: (id, logprob, text)
    ms: float
    op_ms: dict[str, float]  # operation -> ms, in the order of the computation
    optimizations: Optimizations = field(default_factory=Optimizations)  # those it was computed with
    precision: str = "f32"


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures of the running generation; only the newest matters."""

    request: int
    tokens: int
    ms_per_token: float  # of the last 50: the median; with lookup, whose tokens come in bursts, the mean
    p95_ms: float  # of the last 50
    tokens_per_second: float
    first_token_ms: float  # from the command to the first token
    prefill_ms: float
    context_used: int
    context_size: int
    drafted: int = 0  # tokens that lookup tried in this generation
    accepted: int = 0  # and those of them that the text kept


@dataclass(frozen=True, slots=True)
class ContextMoved:
    """The context was full: only its newest `kept` tokens are still seen by the model."""

    request: int
    kept: int


@dataclass(frozen=True, slots=True)
class Done:
    """A generation (or benchmark) ended: "length", "stop", "end of text", "stopped" (by the user)."""

    request: int
    reason: str
    tokens: int


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


@dataclass(frozen=True, slots=True)
class TrainStep:
    """One optimizer step. loss: mean nats per token of its batch."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Validation: mean nats per token, and per character of its text (comparable between vocabularies)."""

    step: int
    val_loss: float
    val_loss_per_char: float


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
    """The trained model, in Hugging Face layout, is in `folder`: `Load(folder)` opens it."""

    step: int
    folder: str


@dataclass(frozen=True, slots=True)
class TrainingEnded:
    """reason: "finished", "stopped" or "failed"."""

    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One measured row of the ladder."""

    request: int
    label: str
    optimizations: Optimizations
    ms_per_token: float
    minimum: float
    maximum: float
    tokens: int


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
    | Token
    | Metrics
    | ContextMoved
    | Done
    | TrainingStarted
    | TrainStep
    | Evaluated
    | Sample
    | Saved
    | Calibrated
    | Exported
    | TrainingEnded
    | BenchRow
    | Notice
    | Failed
)

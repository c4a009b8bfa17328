"""What goes into the engine thread: frozen, plain data. `engine.Engine.submit` takes a command from any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sg_core.config import GPT2Config
from sg_core.inference.sampling import Sampling
from sg_core.measure.setting import Setting
from sg_core.network.optimizations import Optimizations
from sg_core.training.settings import TrainingConfig


@dataclass(frozen=True, slots=True)
class Load:
    """Load a model: the shipped name, a Hugging Face folder, or a Hub id. The old one stays till then.

    precision: None for the one set last, "f32" at first. adapters: LoRA adapters put on top of it, FOLDER[:SCALE] each.
    one_precision: hold its weights in the precision in use alone; another one is read from its files when it is set.
    """

    model: str = "tinyshakespeare"
    precision: str | None = None
    threads: int | None = None
    adapters: tuple[str, ...] = ()
    one_precision: bool = False


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue `prompt`, the whole text so far: what was computed of it before, for any branch, is not computed again.

    A MarkedText says how its parts become tokens: what the model wrote, or was given to choose, by the tokens' own ids.
    n: so many continuations at once, whose events are numbered 0 to n-1; number i is what n=1 gives with the seed
    raised by i. A generation that runs is stopped. Ends with exactly one Done for each number, or with one Failed.
    """

    request: int  # chosen by the sender; comes back in every event of this generation
    prompt: str
    max_tokens: int = 200
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    from_training: bool = False  # True: ask the model that is being trained, as it is now
    n: int = 1


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

    The engine then computes a few at a time and rests, so that all but the first of them find its caches warm; the
    times it tells are those of its work alone.
    """

    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class SetPrecision:
    """How weights are stored from the next token on, also of a running generation, and in models loaded later.

    One of precisions.PRECISIONS. Answered by PrecisionSet, or by Failed when it is none of them or there is no memory
    for it; of several that wait only the last is obeyed and answered.
    """

    precision: str


@dataclass(frozen=True, slots=True)
class SetAdapterScale:
    """How far the loaded model's adapters are faded in, from 0 to 1, from the next token on, also of a running
    generation: the text goes on as if it had been so from its first token.

    Answered by AdapterScaleSet, or by Failed; of several that wait only the last is obeyed and answered.
    """

    amount: float


@dataclass(frozen=True, slots=True)
class MeasureReads:
    """Measure how fast the machine reads the loaded model's weights; answered by a ReadRate.

    Takes moments when nothing is written; begun again when another command comes between. While a training runs it is
    passed over.
    """


@dataclass(frozen=True, slots=True)
class Scale:
    """What a head mixes, or what an MLP adds (head None), times `factor`: 0 mutes it."""

    layer: int
    head: int | None
    factor: float


@dataclass(frozen=True, slots=True)
class SetInterventions:
    """What is changed inside the loaded model from the next token on, as if it had been so from the first; () nothing.

    Answered by InterventionsSet, or by Failed when the model has no such head. Another model has none.
    """

    scales: tuple[Scale, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """Look inside the last of `prompt`, as in Generate, and the tokens `ids` that were written after it.

    rival: the token it is compared with, None for the likeliest other one. back: not into the last, but the one so many
    before it, as if nothing came after. Answered by Looked or Failed.
    """

    request: int
    prompt: str
    ids: tuple[int, ...] = ()
    rival: int | None = None
    back: int = 0


@dataclass(frozen=True, slots=True)
class MeasureHeads:
    """Measure what each head does, over the newest tokens before this place, or of the text that is being written.

    Answered by HeadsMeasured or Failed.
    """

    request: int
    prompt: str
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CompareLoss:
    """Tell the loss of the newest tokens of a text, as in Generate, with what is changed inside and without.

    Of as many tokens as take a moment, fewer while a text is written, which goes on as if nothing had been asked.
    Answered by LossCompared or Failed.
    """

    request: int
    prompt: str


@dataclass(frozen=True, slots=True)
class SetProbes:
    """Whether the newest token is looked into while tokens come, as often as someone can see it: each is a Looked.

    split: also why no other token came, which takes longer.
    """

    newest: bool
    split: bool = False


@dataclass(frozen=True, slots=True)
class MeasureSteps:
    """Measure how long a training takes that is only planned, by a StepsMeasured: see training.rehearsal.

    tokens: of its text, about. Done when nothing is written, begun again when another command comes between, passed
    over while a training runs; of several that wait only the last is answered.
    """

    request: int
    config: GPT2Config
    training: TrainingConfig
    tokens: int


@dataclass(frozen=True, slots=True)
class Train:
    """Start training.

    data: "tinyshakespeare" | "python-docs" | path of a text file, of a folder or with wildcards; or several of these.
    model: None for a new model of `config` with a vocabulary learned from the data; else as in Load.
    config: name of a training preset (settings.PRESETS).
    out: folder of the run; None for a fresh one among the runs, or for the resumed run's own.
    resume: folder of an earlier run; data, model, config and training are then the run's own.
    watch_every: steps between two looks at a block, told as LayerFigures; 0 never.
    Ends with exactly one TrainingEnded, unless it is refused because another training is there.
    """

    data: str | tuple[str, ...] = "tinyshakespeare"
    model: str | None = None
    config: str = "tiny"
    training: TrainingConfig | None = None  # None: the preset's own
    out: str | None = None
    resume: str | None = None
    sample_every: int = 100
    sample_prompt: str = "\n"
    watch_every: int = 8


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
class ChangeTraining:
    """Train on with other settings, those of steering.LIVE: rate, schedule, dropout. Answered by a RunEvent, or Failed.

    It acts once the step that runs, and what is due after it, is done; a resume of the run does it again there. So do
    the commands that follow.
    """

    settings: Mapping[str, float | str]


@dataclass(frozen=True, slots=True)
class BackToBest:
    """Go back to the checkpoint with the lowest validation loss and train on from there, with the settings of now."""


@dataclass(frozen=True, slots=True)
class ForkTraining:
    """Write the run as it is now into another folder, from which it can go on like this one, which goes on as well.

    folder: None for a new one among the runs.
    """

    folder: str | None = None


@dataclass(frozen=True, slots=True)
class FindLearningRate:
    """Try all learning rates on a copy of the run, which waits meanwhile; each is a Trial, the end a RateFound.

    A stop ends it early.
    """

    steps: int = 100


TrainingCommand = (
    PauseTraining
    | ResumeTraining
    | StopTraining
    | SaveTraining
    | ChangeTraining
    | BackToBest
    | ForkTraining
    | FindLearningRate
)


@dataclass(frozen=True, slots=True)
class Bench:
    """Measure the ladder (or all 128 combinations) on the loaded model; each row comes as a Measured.

    Refused while a training runs, which would disturb it. Ends with exactly one Done or Failed.
    """

    request: int
    tokens: int = 64
    every_combination: bool = False


@dataclass(frozen=True, slots=True)
class Race:
    """Let two settings write the same text, a token of each in turn; each pair comes as a Raced.

    Refused while a training runs. Ends with exactly one Done or Failed.
    """

    request: int
    left: Setting
    right: Setting
    prompt: str = "\n"
    tokens: int = 120
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True)
class Score:
    """Tell what the loaded model thinks of every token of `text`, by a Scored.

    Done when nothing is written, begun again when another command comes between, passed over while a training runs; of
    several that wait only the last is answered. In a MarkedText special tokens are read as in a prompt.
    """

    request: int
    text: str


Command = (
    Load
    | Generate
    | SetOptimizations
    | SetSampling
    | SetThreads
    | SetPace
    | SetPrecision
    | SetAdapterScale
    | MeasureReads
    | SetInterventions
    | SetProbes
    | Look
    | MeasureHeads
    | CompareLoss
    | MeasureSteps
    | Train
    | TrainingCommand
    | Bench
    | Race
    | Score
)

"""Compiling the kernels ahead of their first use, with progress, and telling whether that has been done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sg_core.files import shown
from sg_core.network.precisions import NARROW, PRECISIONS, Precision, kernels_of
from sg_core.types import Progress

_Step = tuple[str, Callable[[], None]]


def compiled(precision: str = PRECISIONS[0]) -> bool:
    """Whether the kernels of generation in a precision are compiled, in memory, or verified in the folder.

    Most reduced precisions share a forward pass.
    """
    from sg_core.kernels.drawing import draw
    from sg_core.kernels.ranking import likeliest
    from sg_core.network.burst import burst
    from sg_core.network.forward import forward

    kernels = Precision.named(precision).kernels
    plain = [signature for signature in _signatures(forward) if signature[-2:] == ["none", "none"]]  # without more
    read = ({_kernels_of(one) for one in signatures} for signatures in (plain, _signatures(burst)))
    return all(kernels in kinds for kinds in read) and bool(_signatures(likeliest)) and bool(_signatures(draw))


def cache_description() -> str:
    """Where compiled kernels are kept, how many of them are damaged, and why new ones can't be kept, in words."""
    from sg_core.kernels.jit import STORE

    _, damaged = STORE.survey()
    words = [f"in {shown(STORE.folder)}"]
    if damaged:
        words.append(f"{damaged} damaged there (their next use compiles them again)")
    if refusal := STORE.refusal():
        words.append(f"nothing can be written there ({refusal}): new ones stay in memory only")
    return ", ".join(words)


def warm_up(
    training: bool = False,
    progress: Progress | None = None,
    precision: str = PRECISIONS[0],
    *,
    window: bool = False,
    adapters: bool = False,
    optimizer: str = "adamw",
    teachers: bool = False,
    recompute: bool = False,
) -> None:
    """Compile, or load from the cache, the kernels of generation in a precision and, if asked, of training.

    precision: the name of one, or what its `kernels` are called (see `Model.storage`).
    window: also those that probes and interventions need, so that the first of them does not wait. adapters: those
    that adapters need. optimizer, teachers, recompute: those of a training.

    progress is called with (what, done, total), also once at the end.
    """
    steps = [("sampling", _warm_sampling), _forward_step(precision)]
    if window:
        name, _ = _forward_step(precision)
        steps += [(f"{name} with a window", lambda: _warm_window(kernels_of(precision)))]
    if adapters:
        steps += [_adapter_step(precision)]
    if training:
        steps += [("loss", _warm_loss), ("backward pass", _warm_backward)]
        steps += [("optimizer", lambda: _warm_optimizer(optimizer))]
    if recompute:
        steps += [("blocks once more", _warm_recompute)]
    if teachers:
        steps += [("teachers", _warm_teachers)]
    _compile(steps, progress)


def warm_up_adapters(training: bool = False, progress: Progress | None = None, precision: str = PRECISIONS[0]) -> None:
    """As `warm_up`, the kernels that write with adapters in a precision and, if asked, train one."""
    kernels = kernels_of(precision)
    steps = [("sampling", _warm_sampling), _adapter_step(precision)]
    if training:
        steps += [("backward pass for adapters", lambda: _warm_adapter_backward(kernels))]
        steps += [("optimizer", lambda: _warm_optimizer("adamw"))]
    _compile(steps, progress)


def warm_up_scores(progress: Progress | None = None, precision: str = PRECISIONS[0], *, adapters: bool = False) -> None:
    """As `warm_up`, the kernels that score a text."""
    forward = _adapter_step(precision) if adapters else _forward_step(precision)
    _compile([forward, ("scores", lambda: _warm_scores(kernels_of(precision), adapters))], progress)


def warm_up_losses(progress: Progress | None = None, precision: str = PRECISIONS[0]) -> None:
    """As `warm_up`, the kernels that tell the losses of a text, with what is inside changed or not."""
    kernels = kernels_of(precision)
    name, step = _forward_step(precision)
    steps = [(name, step), (f"{name} with a window", lambda: _warm_window(kernels))]
    _compile([*steps, ("loss", lambda: _warm_losses(kernels))], progress)


def warm_up_inside(
    progress: Progress | None = None, precision: str = PRECISIONS[0], *, adapters: bool = False
) -> None:  # fmt: skip
    """As `warm_up`, the kernels that probes, interventions and the logit lens need beside those of generation.

    adapters: with adapters too.
    """
    kernels = kernels_of(precision)
    name, _ = _forward_step(precision)
    steps = [(f"{name} with a window", lambda: _warm_window(kernels))]
    if adapters:
        steps += [(f"{name} with adapters and a window", lambda: _warm_window(kernels, adapters=True))]
    _compile([*steps, ("scores", lambda: _warm_scores(kernels, adapters=False))], progress)


def _forward_step(precision: str) -> _Step:
    kernels = kernels_of(precision)
    name = "forward pass" if kernels == PRECISIONS[0] else "forward pass for stored weights"
    return name, lambda: _write_in_bursts(_tiny(kernels))


def _adapter_step(precision: str) -> _Step:
    name, _ = _forward_step(precision)
    return f"{name} with adapters", lambda: _write(_adapted(kernels_of(precision)))


def _compile(steps: list[_Step], progress: Progress | None) -> None:
    for done, (name, step) in enumerate(steps):
        if progress is not None:
            progress(name, done, len(steps))
        step()
    if progress is not None:
        progress("", len(steps), len(steps))


def _signatures(function: Any) -> list[list[str]]:
    """Types of the arguments, as text, for which an entry is compiled: in memory, or verified in the folder."""
    kept: list[list[str]] = function._cache.kept()
    return kept + [[str(kind) for kind in signature] for signature in function.signatures]


def _kernels_of(signature: list[str]) -> str:
    """The `Precision.kernels` of a forward pass: by the words it reads."""
    if any(kind.startswith("array(int8") for kind in signature):
        return "w8a8"
    return "bf16" if any("uint8" in kind for kind in signature) else PRECISIONS[0]


def _tiny(kernels: str = PRECISIONS[0]) -> Any:
    """A model whose own precision is computed by these."""
    from sg_core.config import GPT2Config
    from sg_core.gpt2 import GPT2
    from sg_core.network.narrow import NarrowParameters
    from sg_core.network.precisions import LOSSLESS

    config = GPT2Config(vocab_size=8, n_ctx=8, n_layer=1, n_head=1, n_embd=8)
    if kernels != NARROW:
        return GPT2.random(config, precision=kernels)
    parameters = NarrowParameters(config, LOSSLESS[0])
    parameters.initialize(0)
    return GPT2(config, parameters)


def _warm_sampling() -> None:
    import numpy as np

    from sg_core.inference.sampler import choose, filters
    from sg_core.inference.sampling import Sampling
    from sg_core.kernels.ranking import likeliest
    from sg_core.kernels.team import Team
    from sg_core.network.choosing import Choosing

    logits = np.zeros(2, np.float32)
    likeliest(np.zeros(1, np.int64), np.zeros(1), logits, np.empty_like(logits))
    choose(logits, np.empty(0, np.int64), Sampling(), 0)
    several = Choosing(1, limit=2, unnamed=np.empty(0, np.int64), k=1, most=1)
    several.run(Team(1), logits.reshape(1, 2), False, filters(Sampling()), np.zeros(1, np.uint64))


def _write(model: Any) -> Any:
    session = model.session(threads=1)
    for _ in session.generate([0, 1], max_tokens=1):
        pass
    return session


def _write_in_bursts(model: Any) -> None:
    import numpy as np

    from sg_core.network.burst import BurstPass

    session, nothing = _write(model), np.empty(0, np.int64)
    decoder = session.decoder
    burst = BurstPass(decoder.current_pass, limit=8, unnamed=nothing, k=1, most=1)
    chance = (1.0, 0, 1.0, float("inf"))
    burst.run(0, 0, decoder.cache, True, session.interrupt, nothing, False, chance, np.zeros(1, np.uint64))


def _warm_scores(kernels: str, adapters: bool) -> None:
    (_adapted if adapters else _tiny)(kernels).score([0, 1])


def _warm_losses(kernels: str) -> None:
    _tiny(kernels).losses([0, 1], [0, 1])


def _warm_window(kernels: str, *, adapters: bool = False) -> None:
    from sg_core.network.probes import Probes

    session = (_adapted if adapters else _tiny)(kernels).session(threads=1)
    session.probes = Probes("hook_embed")
    for _ in session.generate([0, 1], max_tokens=1):
        pass


def _adapted(kernels: str = PRECISIONS[0]) -> Any:
    from sg_core.network.adapters import new_adapter
    from sg_core.network.lora_settings import LoraSettings

    model = _tiny(kernels)
    model.adapters = model.adapters.with_(new_adapter(LoraSettings(r=1), model.config, 0))
    return model


def _batch() -> tuple[Any, Any, Any]:
    import numpy as np

    from sg_core.kernels.team import Team
    from sg_core.network.batch_pass import BatchPass

    model = _tiny()
    return model, BatchPass(model.parameters, 1, 2, Team(1)), np.zeros((1, 2), np.int32)


def _warm_loss() -> None:
    _, batch, ids = _batch()
    batch.losses(ids, ids)


def _warm_backward() -> None:
    from sg_core.network.parameters import Parameters

    model, batch, ids = _batch()
    batch.loss_and_gradients(ids, ids, Parameters(model.config))


def _warm_recompute() -> None:
    import numpy as np

    from sg_core.config import GPT2Config
    from sg_core.gpt2 import GPT2
    from sg_core.kernels.team import Team
    from sg_core.network.batch_pass import BatchPass
    from sg_core.network.parameters import Parameters

    model = GPT2.random(GPT2Config(vocab_size=8, n_ctx=8, n_layer=2, n_head=1, n_embd=8))
    ids = np.zeros((1, 2), np.int32)
    batch = BatchPass(model.parameters, 1, 2, Team(1), recompute=True)
    batch.loss_and_gradients(ids, ids, Parameters(model.config))


def _warm_adapter_backward(kernels: str) -> None:
    import numpy as np

    from sg_core.kernels.team import Team
    from sg_core.network.batch_pass import BatchPass

    model, ids = _adapted(kernels), np.zeros((1, 2), np.int32)
    batch = BatchPass(model.parameters, 1, 2, Team(1), model.weights(model.precision), adapters=model.adapters)
    batch.losses(ids, ids)
    batch.loss_and_adapter_gradients(ids, ids, model.adapters.stack[0][0].like())


def _warm_optimizer(name: str) -> None:
    from sg_core.kernels.team import Team
    from sg_core.training.muon import make_optimizer
    from sg_core.training.settings import TrainingConfig
    from sg_core.training.slots import SlotTree

    model = _tiny()
    optimizer = make_optimizer(model.parameters, TrainingConfig(optimizer=name), Team(1))
    tree = SlotTree(model.parameters, 2)
    for _ in range(2):
        tree.leaf()
        tree.add(optimizer.team)
    total = optimizer.total(tree.total)
    optimizer.update(total, 0.0, optimizer.norm(total))


def _warm_teachers() -> None:
    from sg_core.kernels.team import Team
    from sg_core.training.settings import TrainingConfig
    from sg_core.training.teachers import Teachers

    model, _, ids = _batch()
    Teachers([model], model, TrainingConfig(batch_size=1, context=2), Team(1)).lesson(ids)

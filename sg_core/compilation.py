"""Compiling the kernels ahead of their first use, with progress, and telling whether that has been done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Progress = Callable[[str, int, int], None]


def compiled() -> bool:
    """Whether the kernels of generation are compiled, in memory or in the cache folder."""
    return all(_ready(function) for function in _generation_kernels())


def cache_description() -> str:
    """Where compiled kernels are kept, in words."""
    from sg_core.kernels import jit

    if jit.CACHE_FOLDER is None:
        return "in memory only: no folder for compiled kernels can be written"
    return jit.CACHE_FOLDER


def warm_up(training: bool = False, progress: Progress | None = None) -> None:
    """Compile, or load from the cache, the kernels of generation and, if asked, of training.

    progress is called with (what, done, total), also once at the end.
    """
    steps: list[tuple[str, Callable[[], None]]] = [("sampling", _warm_sampling), ("forward pass", _warm_forward)]
    if training:
        steps += [("loss", _warm_loss), ("backward pass", _warm_backward), ("optimizer", _warm_optimizer)]
    for done, (name, step) in enumerate(steps):
        if progress is not None:
            progress(name, done, len(steps))
        step()
    if progress is not None:
        progress("", len(steps), len(steps))


def _generation_kernels() -> list[Any]:
    from sg_core.kernels.ranking import likeliest
    from sg_core.transformer import forward

    return [forward, likeliest]


def _ready(function: Any) -> bool:
    return bool(function.signatures) or bool(_cached_signatures(function))


def _cached_signatures(function: Any) -> bool:
    """Whether Numba's cache folder holds an index of this function."""
    from pathlib import Path

    folder = getattr(function.stats, "cache_path", None)
    if not folder:
        return False
    return any(Path(folder).glob(f"*.{function.py_func.__name__}-*.nbc"))


def _tiny() -> Any:
    from sg_core.config import GPT2Config
    from sg_core.model import GPT2

    return GPT2.random(GPT2Config(vocab_size=8, n_ctx=8, n_layer=1, n_head=1, n_embd=8))


def _warm_sampling() -> None:
    import numpy as np

    from sg_core.kernels.ranking import likeliest

    likeliest(np.zeros(1, np.int64), np.zeros(1), np.zeros(2, np.float32), np.empty(2, np.float32))


def _warm_forward() -> None:
    for _ in _tiny().session(threads=1).generate([0, 1], max_tokens=1):
        pass


def _batch() -> tuple[Any, Any, Any]:
    import numpy as np

    from sg_core.gradients import BatchPass
    from sg_core.kernels.team import Team

    model = _tiny()
    return model, BatchPass(model.parameters, 1, 2, Team(1)), np.zeros((1, 2), np.int32)


def _warm_loss() -> None:
    _, batch, ids = _batch()
    batch.losses(ids, ids)


def _warm_backward() -> None:
    from sg_core.parameters import Parameters

    model, batch, ids = _batch()
    batch.loss_and_gradients(ids, ids, Parameters(model.config))


def _warm_optimizer() -> None:
    from sg_core.kernels.team import Team
    from sg_core.optimizer import AdamW
    from sg_core.parameters import Parameters
    from sg_core.settings import TrainingConfig

    model = _tiny()
    gradients = Parameters(model.config)
    optimizer = AdamW(model.parameters, TrainingConfig(), Team(1))
    optimizer.update(gradients, 0.0, optimizer.norm(gradients))

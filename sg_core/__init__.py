"""A GPT-2 engine in NumPy and Numba: forward, backward, training, generation.

The public names are loaded when they are first used, so that `import sg_core` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sg_core.config import GPT2Config
    from sg_core.gpt2 import GPT2
    from sg_core.inference.sampling import Sampling
    from sg_core.network.interventions import Interventions
    from sg_core.network.optimizations import Optimizations
    from sg_core.network.probes import Probes
    from sg_core.training.dataset import TextDataset
    from sg_core.training.settings import TrainingConfig
    from sg_core.training.trainer import Trainer

__all__ = [
    "GPT2",
    "GPT2Config",
    "Interventions",
    "Optimizations",
    "Probes",
    "Sampling",
    "TextDataset",
    "Trainer",
    "TrainingConfig",
]
__version__ = "0.1.0"

_MODULES = {
    "GPT2": "gpt2",
    "GPT2Config": "config",
    "Interventions": "network.interventions",
    "Probes": "network.probes",
    "Optimizations": "network.optimizations",
    "Sampling": "inference.sampling",
    "TextDataset": "training.dataset",
    "Trainer": "training.trainer",
    "TrainingConfig": "training.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'sg_core' has no attribute {name!r}")
    value = getattr(import_module(f"sg_core.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

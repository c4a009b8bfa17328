"""The tensors of a model folder, put together."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sg_core.config import GPT2Config
from sg_core.network.parameters import Parameters
from sg_core.storage.pretrained import read_weights
from sg_core.types import FloatArray


def whole_weights(folder: Path, config: GPT2Config) -> dict[str, FloatArray]:
    """Canonical name -> array in Hugging Face's shape."""
    parameters = Parameters(config)
    names = []
    for piece in read_weights(folder, config):
        parameters.put(piece)
        names.append(piece.tensor.name)
    return {name: np.ascontiguousarray(parameters[name]) for name in dict.fromkeys(names)}

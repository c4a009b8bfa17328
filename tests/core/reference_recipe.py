"""The recipe of the reference models, shared with the scripts that make their golden values."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core import GPT2, GPT2Config

Golden = Mapping[str, npt.NDArray[Any]]


def _load_recipe() -> ModuleType:
    path = Path(__file__).parents[1] / "reference" / "recipe.py"
    spec = importlib.util.spec_from_file_location("recipe", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


recipe = _load_recipe()
SHAPES = {shape.name: shape for shape in recipe.SHAPES}


@cache
def golden(name: str) -> Golden:
    """What the reference implementation gave."""
    with np.load(recipe.GOLDEN_FOLDER / f"{name}.npz", allow_pickle=False) as stored:
        return dict(stored)


def reference_model(name: str) -> GPT2:
    """Ours, with the recipe's weights."""
    shape = SHAPES[name]
    model = GPT2.random(GPT2Config(n_ctx=shape.n_ctx, **shape.config), seed=0)
    weights = recipe.parameters(shape)
    assert set(model.parameters) == set(weights)
    for tensor, value in weights.items():
        model.parameters[tensor][...] = value
    return model

"""The readable twin computes what the engine computes: logits, loss, every gradient, greedy text."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from sg_core import GPT2, GPT2Config, Sampling

PATH = Path(__file__).parents[2] / "docs" / "gpt2_twin.py"
MOST_LINES = 150  # blank ones not counted
TOLERANCE = 1e-4  # two orders of adding float32: absolute for logits and the loss, of a gradient's norm for gradients
Ids = npt.NDArray[np.int64]


@cache
def twin() -> ModuleType:
    spec = spec_from_file_location("gpt2_twin", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small_model() -> GPT2:
    """Random weights with norms and biases that are not 1 and 0, and an epsilon that can be seen."""
    config = GPT2Config(vocab_size=61, n_ctx=24, n_layer=3, n_head=3, n_embd=48, layer_norm_epsilon=1e-3)
    model = GPT2.random(config, seed=5)
    random = np.random.default_rng(6)
    for array in model.parameters.values():
        array += 0.1 * random.standard_normal(array.shape).astype(np.float32)
    return model


@pytest.fixture(scope="module", params=["small", "shipped"])
def model(request: pytest.FixtureRequest) -> GPT2:
    return small_model() if request.param == "small" else GPT2.from_pretrained("tinyshakespeare")


def draw(model: GPT2, B: int, T: int) -> Ids:
    """(B, T) ids; some tokens come twice, so that gradients of one embedding add up."""
    ids = np.random.default_rng(7).integers(model.config.vocab_size, size=(B, T))
    ids[:, -1] = ids[:, 0]
    return ids


def test_its_logits_are_the_engines(model: GPT2) -> None:
    ids = draw(model, 2, model.config.n_ctx)
    logits, _ = twin().forward(ids, model.parameters, model.config)
    assert logits.shape == (*ids.shape, model.config.vocab_size)
    for b in range(len(ids)):
        assert np.abs(logits[b] - model.logits(ids[b])).max() < TOLERANCE


def test_its_loss_and_gradients_are_the_engines(model: GPT2) -> None:
    ids, targets = draw(model, 3, 17), draw(model, 3, 18)[:, 1:]
    loss, gradients = twin().loss_and_gradients(ids, targets, model.parameters, model.config)
    expected_loss, expected = model.loss_and_gradients(ids, targets)
    assert abs(loss - expected_loss) < TOLERANCE
    assert {f"transformer.{name}" for name in gradients} == set(expected)
    for name, gradient in gradients.items():
        true = expected[f"transformer.{name}"]
        assert gradient.shape == true.shape, name
        assert np.linalg.norm(gradient - true) <= TOLERANCE * np.linalg.norm(true), name


def test_run_as_a_program_it_writes_the_engines_greedy_text(tmp_path: Path) -> None:
    model = GPT2.from_pretrained("tinyshakespeare")
    expected = "".join(
        token.text for token in model.session().generate("JULIET:", max_tokens=40, sampling=Sampling(temperature=0.0))
    )
    program = f"import runpy, sys; sys.argv[1:] = ['JULIET:']; runpy.run_path({str(PATH)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PATH.parents[1], capture_output=True, text=True, check=True, timeout=120
    )  # fmt: skip
    assert done.stdout == f"JULIET:{expected}\n"


def test_it_can_be_read_in_one_sitting() -> None:
    lines = [line for line in PATH.read_text("utf-8").splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES
    uses = [line for line in lines if line.startswith(("import ", "from "))]
    assert uses == ["import sys", "import numpy as np"]

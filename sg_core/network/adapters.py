"""LoRA adapters beside the weights: what is added to a block's projections, y += g·(x·Aᵀ)·B (Hu et al. 2021).

A is (R, K) and B (R, N), the transpose of PEFT's lora_B, so that both are read in long rows; g is alpha/R, or
alpha/sqrt(R) with rsLoRA (Kalajdzievski 2023), times how far the adapter is faded in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.checks import quoted
from sg_core.config import GPT2Config
from sg_core.errors import SettingError
from sg_core.files import shown
from sg_core.memory import aligned
from sg_core.network.lora_settings import LoraSettings
from sg_core.network.parameters import PREFIX, Parameters
from sg_core.types import FloatArray

PROJECTIONS = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")  # of a block, in the order of `places`
A, B, RANK, GAIN = range(4)  # columns of `places`


def widths(config: GPT2Config) -> tuple[tuple[int, int], ...]:
    """(K, N), inputs and outputs, of each of PROJECTIONS."""
    C, H = config.n_embd, config.hidden_size
    return (C, 3 * C), (C, C), (C, H), (H, C)


class Adapter:
    """One adapter: A and B of the projections it has a rank for, in one arena.

    ranks (L, 4) int64, 0 for a projection that it leaves alone; gains (L, 4) float32. places: see `kernels.low_rank`.
    """

    def __init__(
        self,
        config: GPT2Config,
        ranks: npt.NDArray[np.int64],
        gains: FloatArray,
        arena: FloatArray | None = None,
        name: str = "adapter",
    ) -> None:
        self.config, self.ranks, self.gains, self.name = config, ranks, gains, name
        inputs, outputs = np.array(widths(config), np.int64).T
        sizes = np.stack([ranks * inputs, ranks * outputs], axis=2)  # (L, 4, 2): of A and B
        ends = np.cumsum(sizes).reshape(sizes.shape)
        self.places: npt.NDArray[np.int64] = np.zeros((*ranks.shape, 4), np.int64)
        self.places[..., :RANK] = ends - sizes
        self.places[..., RANK] = ranks
        self.places[..., GAIN] = np.cumsum(ranks).reshape(ranks.shape) - ranks
        self.arena: FloatArray = aligned(int(ends[-1, -1, -1]), zero=True) if arena is None else arena

    @property
    def decayed(self) -> int:
        """Numbers that decay in training: all."""
        return self.arena.size

    def like(self, arena: FloatArray | None = None) -> Adapter:
        """One of the same shapes with another arena, by default zeros: gradients, moments, averages."""
        return Adapter(self.config, self.ranks, self.gains, arena, self.name)

    def factors(self, layer: int, projection: int) -> tuple[FloatArray, FloatArray]:
        """A (R, K) and B (R, N) of a projection: views of the arena."""
        K, N = widths(self.config)[projection]
        a, b, R, _ = self.places[layer, projection]
        return self.arena[a : a + R * K].reshape(R, K), self.arena[b : b + R * N].reshape(R, N)

    def adapted(self) -> list[tuple[int, int]]:
        """(layer, projection) of each projection that it changes."""
        return [(int(layer), int(projection)) for layer, projection in np.argwhere(self.ranks)]

    def require_fitting(self, config: GPT2Config) -> None:
        """Raises SettingError when the projections of a model have other sizes."""
        own, theirs = self.config, config
        if (own.n_layer, widths(own)) != (theirs.n_layer, widths(theirs)):
            raise SettingError(
                f"the adapter {shown(self.name)} is for {own.n_layer} blocks of {own.n_embd} channels; this model has "
                f"{theirs.n_layer} of {theirs.n_embd}"
            )

    @property
    def lowest(self) -> int:
        """The first block that it changes."""
        return min((layer for layer, _ in self.adapted()), default=self.config.n_layer)

    def initialize(self, seed: int) -> None:
        """A uniform within 1/sqrt(K), B zero, as PEFT begins: the model says what it said without the adapter."""
        generator = np.random.Generator(np.random.PCG64(seed))
        self.arena[:] = 0.0
        for layer, projection in self.adapted():
            first, _ = self.factors(layer, projection)
            draws = generator.random(first.shape, dtype=np.float32)
            first[:] = (2.0 * draws - 1.0) / np.float32(np.sqrt(first.shape[1]))

    def add_to(self, parameters: Parameters, scale: float) -> None:
        """Merge it into the weights."""
        for layer, projection in self.adapted():
            first, second = self.factors(layer, projection)
            weight = parameters.view(f"{PREFIX}h.{layer}.{PROJECTIONS[projection]}.weight")  # (K, N)
            weight += np.float32(scale * self.gains[layer, projection]) * (first.T @ second)


@dataclass(frozen=True, slots=True)
class Adapters:
    """Adapters that act together, each with its scale; amount: how far all of them are faded in, 1.0 wholly.

    What is scaled by 0 is left out: a model with nothing else computes what it computes without, bit for bit.
    """

    stack: tuple[tuple[Adapter, float], ...] = ()
    amount: float = 1.0

    def __bool__(self) -> bool:
        return any(scale * self.amount for _, scale in self.stack)

    @property
    def nbytes(self) -> int:
        """Of what is read for a token."""
        return sum(adapter.arena.nbytes for adapter, scale in self.stack if scale * self.amount)

    def with_(self, adapter: Adapter, scale: float = 1.0) -> Adapters:
        """Another one on top. Raises SettingError for a scale that is no number."""
        if not np.isfinite(scale):
            raise SettingError(f"the scale of an adapter is {scale}; a number is needed, 1 for all of it")
        return replace(self, stack=(*self.stack, (adapter, float(scale))))

    def faded(self, amount: float) -> Adapters:
        """The same ones, faded in so far. Raises SettingError for anything but 0 to 1."""
        if not 0.0 <= amount <= 1.0:
            raise SettingError(f"adapters fade from 0 to 1, not to {amount}")
        return replace(self, amount=float(amount))

    def packed(self) -> Packed | None:
        """What kernels are told of them; None where nothing is added."""
        acting = [(adapter, scale * self.amount) for adapter, scale in self.stack if scale * self.amount]
        if not acting:
            return None
        if len(acting) == 1:
            adapter, scale = acting[0]
            return Packed(adapter, _row_gains(adapter, scale))
        return _joined(acting)


@dataclass(frozen=True, slots=True)
class Packed:
    """One adapter that does what several do, its arena shared where it is one; gains: of every row, scale included."""

    adapter: Adapter
    gains: FloatArray

    def arrays(self, rows: int, rate: float = 0.0) -> tuple[Any, ...]:
        """The tuple that `kernels.low_rank` wants, with room for so many rows. rate: of the adapter's dropout."""
        adapter = self.adapter
        rank = int(adapter.ranks.max())
        widest = max(K for K, _ in widths(adapter.config))
        return (
            adapter.arena, adapter.places, self.gains, aligned(2 * rows * rank),
            aligned(rows * widest if rate > 0 else 0), np.float32(rate),
        )  # fmt: skip


def _row_gains(adapter: Adapter, scale: float) -> FloatArray:
    """(sum of ranks,) the gain of each row, in the order of `places`."""
    return np.repeat((adapter.gains * np.float32(scale)).reshape(-1), adapter.ranks.reshape(-1)).astype(np.float32)


def _joined(acting: Sequence[tuple[Adapter, float]]) -> Packed:
    """Adapters side by side: their rows one after another, their ranks added."""
    first = acting[0][0]
    ranks = np.stack([adapter.ranks for adapter, _ in acting]).sum(axis=0)
    whole = Adapter(first.config, ranks, np.ones(ranks.shape, np.float32))
    gains = aligned(int(ranks.sum()))
    for layer, projection in whole.adapted():
        targets = whole.factors(layer, projection)
        row, gain = 0, int(whole.places[layer, projection, GAIN])
        for adapter, scale in acting:
            R = int(adapter.ranks[layer, projection])
            for target, source in zip(targets, adapter.factors(layer, projection), strict=True):
                target[row : row + R] = source
            gains[gain + row : gain + row + R] = adapter.gains[layer, projection] * np.float32(scale)
            row += R
    return Packed(whole, gains)


def new_adapter(settings: LoraSettings, config: GPT2Config, seed: int) -> Adapter:
    """One that is ready to be trained. Raises SettingError for a target that names no projection."""
    ranks = chosen_ranks(settings, config)
    made = Adapter(config, ranks, np.where(ranks > 0, settings.gain, 0.0).astype(np.float32))
    made.initialize(seed)
    return made


def chosen_ranks(settings: LoraSettings, config: GPT2Config) -> npt.NDArray[np.int64]:
    """(L, 4) settings.r where a target names the projection. Raises SettingError for a target that names none."""
    ranks = np.zeros((config.n_layer, len(PROJECTIONS)), np.int64)
    for target in settings.targets:
        named = [
            (layer, projection)
            for layer in range(config.n_layer)
            for projection, name in enumerate(PROJECTIONS)
            if names(target, f"{PREFIX}h.{layer}.{name}")
        ]
        if not named:
            raise SettingError(
                f"lora: no projection of the model is called {quoted(target)}; choose from c_attn, c_proj, c_fc, "
                "attn.c_proj, mlp.c_proj, all-linear, or name one: h.0.attn.c_attn"
            )
        ranks[tuple(zip(*named, strict=True))] = settings.r
    return ranks


def names(target: str, module: str) -> bool:
    """Whether a target of PEFT means a module: it is its name, or the end of it after a dot; all-linear means all."""
    return target == "all-linear" or module == target or module.endswith(f".{target}")


def adapter_size(settings: LoraSettings, config: GPT2Config) -> int:
    """How many numbers a new adapter has. Raises SettingError."""
    sums = np.array([K + N for K, N in widths(config)], np.int64)
    return int((chosen_ranks(settings, config) * sums).sum())


Trainable = Parameters | Adapter  # what learns: numbers in an arena

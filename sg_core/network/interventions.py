"""Changes of what a model computes inside: a head muted, an MLP weakened, a vector added, an activation replaced.

They stand beside the optimizations, not among them: a switch never changes a value, an intervention always may.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.checks import quoted, whole
from sg_core.config import GPT2Config
from sg_core.errors import SettingError
from sg_core.kernels.probe import ADD_EDIT, REPLACE_EDIT, SCALE_EDIT
from sg_core.network.sites import HEADS, Site, one
from sg_core.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """One change. head: of a site that has heads, None for all; position: None for every one; numbers: flat."""

    name: str
    kind: int
    numbers: FloatArray
    head: int | None = None
    position: int | None = None


class Interventions:
    """Changes, obeyed in their order; each method returns a copy with one more.

    Names are those of `Probes`. Positions count from the beginning of what the model sees. What does not fit the model
    is told when they are used, by a SettingError.
    """

    __slots__ = ("edits",)

    def __init__(self, edits: tuple[Edit, ...] = ()) -> None:
        self.edits = edits

    def __bool__(self) -> bool:
        return bool(self.edits)

    def __repr__(self) -> str:
        return f"<{len(self.edits)} interventions: {', '.join(edit.name for edit in self.edits)}>"

    def scale_head(self, layer: int, head: int, factor: float) -> Interventions:
        """What a head mixed times `factor`: 0 mutes it. c_proj's bias stays."""
        whole("head", head, 0)
        return self._with(Edit(f"blocks.{_layer(layer)}.attn.hook_z", int(SCALE_EDIT), _factor(factor), head))

    def scale_mlp(self, layer: int, factor: float) -> Interventions:
        """What the MLP of a block adds, bias included, times `factor`."""
        return self._with(Edit(f"blocks.{_layer(layer)}.hook_mlp_out", int(SCALE_EDIT), _factor(factor)))

    def add(self, name: str, vector: npt.ArrayLike, position: int | None = None) -> Interventions:
        """A vector, as large as a position's activation there, is added at every position, or at one."""
        return self._with(Edit(name, int(ADD_EDIT), _numbers(vector), position=_position(position)))

    def replace(self, name: str, position: int, array: npt.ArrayLike) -> Interventions:
        """At one position the activation is this array."""
        return self._with(Edit(name, int(REPLACE_EDIT), _numbers(array), position=_position(position)))

    def _with(self, edit: Edit) -> Interventions:
        return Interventions((*self.edits, edit))


def edit_arrays(config: GPT2Config, interventions: Interventions) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """`edits` and `numbers` of a window. Raises SettingError for what does not fit the model."""
    rows: list[list[int]] = []
    place = 0
    for edit in interventions.edits:
        site = one(config, edit.name)
        first, count = _columns(config, site, edit)
        position = -1 if edit.position is None else whole("position", edit.position, 0, config.n_ctx - 1)
        rows.append([site.layer, site.number, edit.kind, position, first, count, place])
        place += len(edit.numbers)
    numbers = np.concatenate([edit.numbers for edit in interventions.edits]) if rows else np.zeros(1, np.float32)
    return np.array(rows, np.int64).reshape(-1, 7), numbers


def _columns(config: GPT2Config, site: Site, edit: Edit) -> tuple[int, int]:
    """The first column of a site that an edit means, and how many."""
    if not site.editable:
        raise SettingError(f"{site.name} can be looked at, not changed; change what it is made of, or what it makes")
    shape = site.row_shape(config, 0)
    size = math.prod(shape)
    if edit.head is not None and site.row == HEADS:
        return whole("head", edit.head, 0, config.n_head - 1) * config.head_size, config.head_size
    if edit.kind != SCALE_EDIT and len(edit.numbers) != size:
        raise SettingError(
            f"{len(edit.numbers)} numbers were given for {site.name}; it has {size} ({site.row}) a position"
        )
    return 0, size


def _layer(layer: Any) -> int:
    return whole("layer", layer, 0)


def _position(position: int | None) -> int | None:
    return None if position is None else whole("position", position, 0)


def _factor(factor: float) -> FloatArray:
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not math.isfinite(factor):
        raise SettingError(f"factor is {quoted(factor)}; it must be a finite number")
    return np.array([factor], np.float32)


def _numbers(values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise SettingError("an activation must be an array of finite numbers")
    return array.astype(np.float32).reshape(-1)

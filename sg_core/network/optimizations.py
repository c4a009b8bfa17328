"""The engine's switches: which computations are not redone for earlier tokens.

Each is declared once, as a field of `Optimizations`; numbers, labels, cells, keys, panels and commands are read off
TABLE.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from sg_core.checks import quoted
from sg_core.errors import SettingError

# Kinds of operations that are told the first position they compute, in the order of the cells of `forward`'s `starts`.
STAGES = ("layernorm", "attention", "linear", "gelu", "residual")


def _switch(label: str, *, on: str = "", off: str = "", stage: str = "") -> Any:
    """A field that is on by default where `off` says what is then done instead, and off where `on` does."""
    return field(default=not on, metadata={"label": label, "effect": on or off, "stage": stage})


@dataclass(frozen=True, slots=True)
class Optimizations:
    """One switch an optimization: the first seven on by default, `lookup` and `draft` off.

    A switch decides which rows (token positions) one kind of operation computes at each new token: only
    the new positions (on), or every position so far (off). No switch changes a value, so every
    combination writes the same text; `gelu_table` alone may differ within fp16 rounding. `lookup` and `draft`
    compute several positions at once, those that have been guessed; the tokens are then no longer alike in time.
    """

    kv_cache: bool = _switch("KV cache", stage="attention", off="QKV and attention run again for every position")
    linear: bool = _switch("linear", stage="linear", off="the other projections run for every position")
    gelu: bool = _switch("GELU", stage="gelu", off="GELU runs for every position")
    residual: bool = _switch("residual", stage="residual", off="residual additions run for every position")
    gelu_table: bool = _switch("GELU table", off="GELU is computed (tanh form), not read from a table of 2^16 fp16")
    layernorm: bool = _switch("layer norm", stage="layernorm", off="layer norms run for every position")
    unembedding: bool = _switch("unembedding", stage="unembedding", off="logits of every position, not of the last")
    lookup: bool = _switch("lookup", on="drafts from the text so far")
    draft: bool = _switch("draft", on="drafts from the model's own reduced weights")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The field names in the order of their numbers, 1 to 9."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def none(cls) -> Optimizations:
        """Every switch off."""
        return cls().without(*cls.names())

    def without(self, *names: str) -> Optimizations:
        """A copy with these switches off. Raises SettingError for an unknown name."""
        return self._set(names, False)

    def with_(self, *names: str) -> Optimizations:
        """A copy with these switches on. Raises SettingError for an unknown name."""
        return self._set(names, True)

    def toggled(self, name: str) -> Optimizations:
        """A copy with one switch flipped."""
        return self.without(name) if getattr(self, name, False) else self.with_(name)

    @property
    def bursts(self) -> bool:
        """Whether tokens come in bursts: one takes the time of several, and the others take none."""
        return self.lookup or self.draft

    @property
    def alike(self) -> Optimizations:
        """The same switches without those that make tokens come in bursts."""
        return self.without("lookup", "draft") if self.bursts else self

    @property
    def needs_earlier_rows(self) -> bool:
        """Whether some operation runs for positions before the new ones, whose activations must then be kept."""
        return not all(getattr(self, name) for name in ROW_SWITCHES)

    def starts(self, new: int) -> tuple[int, ...]:
        """The first position each of STAGES computes where `new` is the first new one."""
        return tuple(new if getattr(self, name) else 0 for name in _OF_STAGES)

    def _set(self, names: tuple[str, ...], value: bool) -> Optimizations:
        for name in names:
            if name not in self.names():
                raise SettingError(f"optimization {quoted(name)} is unknown; choose from {', '.join(self.names())}")
        return replace(self, **dict.fromkeys(names, value))


@dataclass(frozen=True, slots=True)
class Optimization:
    """A row of TABLE. number: from 1, of its key. effect: what is done when it is not as by default.

    stage: the kind of operation whose rows it decides, "" for one that decides none.
    """

    name: str
    number: int
    label: str
    effect: str
    stage: str
    default: bool


TABLE = tuple(
    Optimization(one.name, number, default=one.default is True, **one.metadata)
    for number, one in enumerate(fields(Optimizations), 1)
)
ROW_SWITCHES = tuple(one.name for one in TABLE if one.stage)  # off, they want the rows of earlier positions
USUAL = tuple(one.name for one in TABLE if one.default)  # on by default; measured in ladders, switched all at once
_OF_STAGES = tuple(next(one.name for one in TABLE if one.stage == stage) for stage in STAGES)

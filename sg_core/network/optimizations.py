"""The engine's switches: which computations are not redone for earlier tokens."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from sg_core.errors import SettingError


@dataclass(frozen=True, slots=True)
class Optimizations:
    """One switch an optimization: the first seven on by default, `lookup` off.

    A switch decides which rows (token positions) one kind of operation computes at each new token: only
    the new positions (on), or every position so far (off). No switch changes a value, so every
    combination writes the same text; `gelu_table` alone may differ within fp16 rounding. `lookup` computes several
    positions at once where the text repeats itself; its tokens are then no longer alike in time.
    """

    kv_cache: bool = True  # off: QKV projection and attention run again for every position
    linear: bool = True  # off: the other projections of a block run for every position
    gelu: bool = True  # off: GELU runs for every position
    residual: bool = True  # off: residual additions run for every position
    gelu_table: bool = True  # off: GELU is computed (tanh form) instead of read from a 2^16-entry fp16 table
    layernorm: bool = True  # off: layer norms run for every position
    unembedding: bool = True  # off: logits of every position, not of the last alone
    lookup: bool = False  # on: what followed the same words before is tried, many tokens in one pass

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The field names in the order of their numbers, 1 to 8."""
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

    def _set(self, names: tuple[str, ...], value: bool) -> Optimizations:
        for name in names:
            if name not in self.names():
                raise SettingError(f"optimization {name!r} is unknown; choose from {', '.join(self.names())}")
        return replace(self, **dict.fromkeys(names, value))

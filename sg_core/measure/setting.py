"""What decides how long a token takes, and how it is called."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sg_core.network.optimizations import TABLE, USUAL, Optimizations
from sg_core.network.precisions import PRECISIONS, Precision


@dataclass(frozen=True, slots=True)
class Setting:
    """A precision and the switches."""

    precision: str = PRECISIONS[0]
    optimizations: Optimizations = field(default_factory=Optimizations)

    @classmethod
    def named(cls, text: str) -> Setting:
        """From its name: "f32", "int8-kv_cache", "f32+lookup-gelu", "f32-all". Raises SettingError."""
        precision, *changes = re.split("([+-])", text.strip())
        optimizations = Optimizations()
        for sign, name in zip(changes[::2], changes[1::2], strict=True):
            names = USUAL if name == "all" else (name,)
            optimizations = optimizations.with_(*names) if sign == "+" else optimizations.without(*names)
        return cls(Precision.named(precision).name, optimizations)

    @property
    def name(self) -> str:
        """As `named` reads it."""
        changed = [one for one in TABLE if getattr(self.optimizations, one.name) != one.default]
        off = [one.name for one in changed if one.default]
        off = ["all"] if len(off) == len(USUAL) else off
        return self.precision + "".join(
            [f"-{name}" for name in off] + [f"+{one.name}" for one in changed if not one.default]
        )

    @property
    def short(self) -> str:
        """The switches by their numbers, where they are not as usual: "all on", "1 3 off", "all off", "8 on"."""
        changed = [one for one in TABLE if getattr(self.optimizations, one.name) != one.default]
        off = [str(one.number) for one in changed if one.default]
        on = [str(one.number) for one in changed if not one.default]
        words = ["all off" if len(off) == len(USUAL) else f"{' '.join(off)} off"] if off else []
        return ", ".join([*words, *([f"{' '.join(on)} on"] if on else [])]) or "all on"

    @property
    def words(self) -> str:
        """The same with the labels of the table: "f32, KV cache off"."""
        changed = [one for one in TABLE if getattr(self.optimizations, one.name) != one.default]
        if sum(one.default for one in changed) == len(USUAL):
            return ", ".join([self.precision, "all off", *(f"{one.label} on" for one in changed if not one.default)])
        return ", ".join([self.precision, *(f"{one.label} {'off' if one.default else 'on'}" for one in changed)])

"""What is asked of a new adapter, in one line of text. Cheap to import."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sg_core.checks import quoted
from sg_core.errors import SettingError


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """What a person asks of a new adapter: `--lora r=8,alpha=16,targets=c_attn,c_proj`.

    Names of PEFT's LoraConfig (lora_alpha, target_modules, ...) mean the same. targets: names of modules, matched as
    PEFT does: whole, or what follows a dot. rslora: gain alpha/sqrt(r).
    """

    r: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("c_attn",)
    rslora: bool = False

    @property
    def gain(self) -> float:
        """What x·A·B is multiplied by."""
        return self.alpha / (self.r**0.5 if self.rslora else self.r)

    @classmethod
    def parse(cls, text: str) -> LoraSettings:
        """Raises SettingError, naming the part that is wrong."""
        found: dict[str, Any] = {}
        targets: list[str] | None = None
        for part in text.split(","):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            name = _PEFT_NAMES.get(name, name) if equals else name
            if not equals and targets is not None and name:
                targets.append(name)  # the list of targets goes on
                continue
            if name not in _PARTS or not value or name in found:
                raise SettingError(
                    f"lora: {quoted(part.strip())} is not understood; write for example r=8,alpha=16,dropout=0.05,"
                    f"targets=c_attn,c_proj (parts: {', '.join(_PARTS)})"
                )
            found[name] = value
            targets = [value] if name == "targets" else None
            if targets is not None:
                found[name] = targets
        given = {name: _PARTS[name](name, value) for name, value in found.items()}
        return cls(**given)


def _whole(name: str, value: Any) -> int:
    if not value.isdecimal() or len(value) > 4 or not 1 <= int(value) <= 4096:
        raise SettingError(f"lora: {name} is {value}; a whole number from 1 to 4,096 is needed")
    return int(value)


def _number(low: float, high: float) -> Any:
    def parse(name: str, value: Any) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise SettingError(f"lora: {name} is {value}; a number from {low:g} to {high:g} is needed")
        return number

    return parse


def _switch(name: str, value: Any) -> bool:
    if value not in ("true", "false"):
        raise SettingError(f"lora: {name} is {value}; true or false is needed")
    return bool(value == "true")


def _list(name: str, value: Any) -> tuple[str, ...]:
    return tuple(value)


_PARTS: Mapping[str, Any] = {
    "r": _whole, "alpha": _number(1e-6, 1e6), "dropout": _number(0.0, 0.9), "targets": _list, "rslora": _switch
}  # fmt: skip
_PEFT_NAMES = {
    "lora_alpha": "alpha", "lora_dropout": "dropout", "target_modules": "targets", "use_rslora": "rslora"
}  # fmt: skip

"""What is to be kept of the inside of a pass."""

from __future__ import annotations

from sg_core.checks import quoted
from sg_core.errors import SettingError


class Probes:
    """Names of what to look at, such as "blocks.*.hook_resid_post"; * stands for any characters.

    Whether a model has them is checked when they are used.
    """

    __slots__ = ("patterns",)

    def __init__(self, *patterns: str) -> None:
        """Raises SettingError for what is no name."""
        for pattern in patterns:
            if not isinstance(pattern, str) or not pattern:
                raise SettingError(
                    f"a probe is called {quoted(pattern)}; it must be a name, such as 'blocks.0.hook_mlp_out'"
                )
        self.patterns = patterns

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Probes) and self.patterns == other.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    def __repr__(self) -> str:
        return f"Probes({', '.join(map(repr, self.patterns))})"

"""A place where the arrows walk through samples."""

from __future__ import annotations

from textual.containers import VerticalScroll

from sg_tui.keys import bindings


class SampleWalk(VerticalScroll):
    """A subclass says what `look` does; up and down scroll."""

    BINDINGS = bindings("samples")  # type: ignore[assignment]  # a list of Binding is what Textual wants

    def look(self, by: int) -> None:
        """Show the sample that is so many further, or the last one there is."""

    def action_look(self, by: int) -> None:
        self.look(by)

"""What screens and widgets may ask for. They know the desk, never the app."""

from __future__ import annotations

from sg_tui.desk.desk import Desk, Returned
from sg_tui.desk.engine_link import EngineLike, Severity

__all__ = ["Desk", "EngineLike", "Returned", "Severity"]

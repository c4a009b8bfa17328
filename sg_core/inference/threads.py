"""How many threads compute a token where nobody says."""

from __future__ import annotations

from sg_core.kernels.team import physical_cores

# weights of fewer bytes are read from the cache so fast that a second thread costs more than it gives
_SMALL_MODEL = 48 << 20


def default_threads(parameter_bytes: int) -> int:
    """Physical cores, or one for a model so small that handing work over costs more than it saves."""
    return 1 if parameter_bytes < _SMALL_MODEL else physical_cores()

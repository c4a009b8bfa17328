"""Names of types that many files share. They cost nothing to import: the array types are names alone until checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Progress: TypeAlias = Callable[[str, int, int], None]  # called with (what, done, total)
Count: TypeAlias = Callable[[int, int], None]  # called with (done, total)
Cancelled: TypeAlias = Callable[[], bool]  # asked now and then; True: give the work up

FloatArray: TypeAlias = "npt.NDArray[np.float32]"
Bytes: TypeAlias = "npt.NDArray[np.uint8]"
Words: TypeAlias = "npt.NDArray[np.float32] | npt.NDArray[np.uint16] | npt.NDArray[np.uint8]"  # stored numbers

"""How a session stores the weights: what each precision costs, and how numbers become it.

Cheap to import: NumPy and the kernels come with the first number that is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sg_core.checks import quoted
from sg_core.errors import SettingError

NARROW = "f32 in 16 bits"  # what `kernels` calls those of LOSSLESS

if TYPE_CHECKING:
    from sg_core.types import Bytes, FloatArray, Words


@dataclass(frozen=True, slots=True)
class Precision:
    """A storage of weights.

    bits: of a stored number. format: its number in `kernels.formats.FORMATS`. reduced: whether it rounds the float32
    numbers of the parameters. scaled: neighbours share a scale. kernels: the name of what stands for all that the same
    kernels compute; they are chosen by the `element` of the stored words. drafter: the name of the precision whose
    weights write ahead for these, "" where none is so much cheaper.
    """

    name: str
    bits: int
    format: int
    reduced: bool
    scaled: bool
    kernels: str
    drafter: str = ""
    element: str = "u1"

    @staticmethod
    def named(name: str) -> Precision:
        """Raises SettingError for an unknown name."""
        if name not in _BY_NAME:
            raise SettingError(f"precision is {quoted(name)}; choose from {', '.join(PRECISIONS)}")
        return _BY_NAME[name]

    @property
    def cached(self) -> Precision:
        """How the KV cache stores its numbers: in the width of the weights, in 8 bits where these have fewer."""
        return _BY_NAME["int8" if self.scaled else self.name]

    @property
    def label(self) -> str:
        """Its name, and in how many bits it is held where that does not tell."""
        return f"{self.name} held in {self.bits} bits" if self.kernels == NARROW else self.name

    @property
    def row_group(self) -> int:
        """A row of a matrix is stored as a whole number of so many numbers, its end filled with zeros."""
        return 1

    def group_size(self, width: int) -> int:
        """How many neighbours are stored at once, those that share a scale if they do. width: of a row."""
        from sg_core.kernels.products import K_BLOCK

        return K_BLOCK

    def bytes_of(self, numbers: int, width: int) -> int:
        """Bytes of so many stored numbers of a model, with their scales; of whole rows, as stored. width: of a row."""
        return numbers * self.bits // 8 + (4 * (numbers // self.group_size(width)) if self.scaled else 0)

    def holds(self, numbers: FloatArray) -> bool:
        """Whether every bit of some float32 numbers is kept; of a storage in LOSSLESS."""
        import numpy as np

        words, scales = np.empty(numbers.size, np.uint16), np.empty(0, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            self.store(words, scales, 0, numbers)
            return np.array_equal(self.expand(words, scales, 0, numbers.size).view("u4"), numbers.view("u4"))

    def store(self, words: Words, scales: FloatArray, start: int, numbers: FloatArray) -> None:
        """Convert flat float32 numbers to those from `start` on. scales: one for each group of them."""
        words[start : start + len(numbers)] = numbers

    def expand(self, words: Words, scales: FloatArray, start: int, count: int) -> FloatArray:
        """What `store` made of the numbers from `start` on is worth, flat. scales: one for each group of them."""
        numbers: FloatArray = words[start : start + count]  # type: ignore[assignment]  # of this format's kind
        return numbers


class _BFloat16(Precision):
    __slots__ = ()

    def store(self, words: Words, scales: FloatArray, start: int, numbers: FloatArray) -> None:
        from sg_core.bfloat16 import to_bfloat16

        words.view("u2")[start : start + len(numbers)] = to_bfloat16(numbers)

    def expand(self, words: Words, scales: FloatArray, start: int, count: int) -> FloatArray:
        wide = words.view("u2")[start : start + count].astype("u4") << 16
        return wide.view("f4")


class _Float16(Precision):
    __slots__ = ()

    def store(self, words: Words, scales: FloatArray, start: int, numbers: FloatArray) -> None:
        words.view("f2")[start : start + len(numbers)] = numbers

    def expand(self, words: Words, scales: FloatArray, start: int, count: int) -> FloatArray:
        return words.view("f2")[start : start + count].astype("f4")


class _Int8(Precision):
    """Symmetric, one scale for n_embd neighbours or a whole part of them, as many as are summed at once."""

    __slots__ = ()

    def group_size(self, width: int) -> int:
        from sg_core.kernels.products import K_BLOCK

        return next(width // parts for parts in range(-(-width // K_BLOCK), width + 1) if width % parts == 0)

    def store(self, words: Words, scales: FloatArray, start: int, numbers: FloatArray) -> None:
        from sg_core.network.quantization import to_int8

        stored, scales[:] = to_int8(numbers.reshape(len(scales), -1))
        words.view("i1")[start : start + len(numbers)] = stored.reshape(-1)

    def expand(self, words: Words, scales: FloatArray, start: int, count: int) -> FloatArray:
        stored = words.view("i1")[start : start + count].reshape(len(scales), -1)
        return (stored.astype("f4") * scales[:, None]).reshape(-1)


class _Int4(Precision):
    """Offset 8, one scale for 32 neighbours, or for those that are left at the end of a row."""

    __slots__ = ()

    @property
    def row_group(self) -> int:
        from sg_core.kernels.formats import INT4_GROUP

        return INT4_GROUP

    def group_size(self, width: int) -> int:
        return self.row_group

    def store(self, words: Words, scales: FloatArray, start: int, numbers: FloatArray) -> None:
        from sg_core.network.quantization import to_int4

        words[start // 2 : (start + len(numbers)) // 2], scales[:] = to_int4(numbers.reshape(len(scales), -1))

    def expand(self, words: Words, scales: FloatArray, start: int, count: int) -> FloatArray:
        from sg_core.network.quantization import from_int4

        stored: Bytes = words[start // 2 : (start + count) // 2]  # type: ignore[assignment]  # bytes, not float32
        return from_int4(stored, scales).reshape(-1)


_ALL = (
    Precision("f32", 32, 0, reduced=False, scaled=False, kernels="f32", drafter="int8"),
    _BFloat16("bf16", 16, 1, reduced=True, scaled=False, kernels="bf16", drafter="int8"),
    _Int8("int8", 8, 2, reduced=True, scaled=True, kernels="bf16", drafter="int4"),
    # what is multiplied with them is rounded to int8 too, a row at a time
    _Int8("w8a8", 8, 2, reduced=True, scaled=True, kernels="w8a8", drafter="int4", element="i1"),
    _Int4("int4", 4, 3, reduced=True, scaled=True, kernels="bf16"),
)
# f32 of matrices whose numbers all fit 16 bits: the same numbers, and the same text (see `narrow`).
LOSSLESS: tuple[Precision, ...] = (
    _Float16("f32", 16, 4, reduced=False, scaled=False, kernels=NARROW, drafter="int8", element="u2"),
    _BFloat16("f32", 16, 1, reduced=False, scaled=False, kernels=NARROW, drafter="int8", element="u2"),
)


def kernels_of(name: str) -> str:
    """What stands for the kernels of a precision, or is that already. Raises SettingError for an unknown name."""
    return name if name == NARROW else Precision.named(name).kernels


_BY_NAME = {one.name: one for one in _ALL}
PRECISIONS = tuple(_BY_NAME)  # from most to fewest bits; the first is that of the parameters themselves

"""The safetensors format: 8 bytes of header length, a JSON header, the tensors' bytes one after the other.

Read and written here rather than by the library: one tensor at a time, bfloat16 too, every fault named by its
tensor (https://huggingface.co/docs/safetensors: the format, and what a reader must refuse).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sg_core.bfloat16 import from_bfloat16, to_bfloat16
from sg_core.checks import is_whole, quoted
from sg_core.errors import ModelFileError, SettingError
from sg_core.files import parse_json_object, reason, replacing, shown
from sg_core.types import FloatArray

LARGEST_HEADER = 8_000_000  # bytes; the largest GPT-2's has 60,000, and reading one takes ten times its size
SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
    "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
READABLE = ("F32", "F16", "BF16", "F64")


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file. start, stop: its bytes, counted from the beginning of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_header(file: BufferedReader, where: str) -> dict[str, StoredTensor]:
    """What an open safetensors file holds, fully checked against its size; no tensor is read.

    where: how messages name the file. Raises ModelFileError, naming the tensor where there is one.
    """
    size = os.fstat(file.fileno()).st_size
    if size < 8:
        raise ModelFileError(
            f"{where} has {size} bytes; a safetensors file begins with 8 bytes of header length; fetch it again"
        )
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > LARGEST_HEADER:
        raise ModelFileError(
            f"{where} is no model or no safetensors file: its header would have {length:,} bytes, at most "
            f"{LARGEST_HEADER:,} are read; fetch it again"
        )
    if 8 + length > size:
        raise ModelFileError(
            f"{where} is cut off or no safetensors file: its header has {length:,} bytes, the file {size:,}; "
            "fetch it again"
        )
    entries = parse_json_object(file.read(length), f"the header of {where}", ModelFileError)
    _check_metadata(entries.pop("__metadata__", {}), where)
    begin = 8 + length
    tensors = [_tensor(name, entry, begin, where) for name, entry in entries.items()]
    _check_cover(tensors, begin, size, where)
    return {tensor.name: tensor for tensor in tensors}


def _check_metadata(metadata: Any, where: str) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ModelFileError(f"the header of {where} has a __metadata__ that is not an object of strings")


def _tensor(name: str, entry: Any, begin: int, where: str) -> StoredTensor:
    label = f"{where}: tensor {quoted(name)}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ModelFileError(f"{label} lacks dtype, shape or data_offsets, or has more than these")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise ModelFileError(f"{label} has the unknown dtype {quoted(dtype)}; {', '.join(READABLE)} can be read")
    if not _are_counts(shape) or len(shape) > 16:
        raise ModelFileError(f"{label} has the shape {shown(shape)[:80]}; a list of sizes is needed")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ModelFileError(f"{label} has the data_offsets {shown(offsets)[:80]}; [begin, end] is needed")
    needed = math.prod(shape) * SIZES[dtype]
    if offsets[1] - offsets[0] != needed:
        raise ModelFileError(
            f"{label} has {offsets[1] - offsets[0]:,} bytes; its shape {shape} of {dtype} needs {needed:,}"
        )
    return StoredTensor(name, dtype, tuple(shape), begin + offsets[0], begin + offsets[1])


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(is_whole(value, 0, (1 << 62) - 1) for value in values)


def _check_cover(tensors: list[StoredTensor], begin: int, size: int, where: str) -> None:
    """The tensors must cover the rest of the file exactly: nothing hidden between, nothing read twice."""
    end = begin
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.stop)):
        label = f"{where}: tensor {quoted(tensor.name)}"
        if tensor.start != end:
            fault = (
                "overlaps the one before it" if tensor.start < end else f"leaves {tensor.start - end:,} bytes unused"
            )
            raise ModelFileError(f"{label} {fault}; the file is damaged")
        if tensor.stop > size:
            raise ModelFileError(f"{label} ends {tensor.stop - size:,} bytes after the file; the file is cut off")
        end = tensor.stop
    if end != size:
        raise ModelFileError(f"{where} has {size - end:,} bytes after its last tensor; the file is damaged")


def read_tensor(file: BufferedReader, tensor: StoredTensor, where: str) -> FloatArray:
    """One tensor as float32 of its shape, converted from F16, BF16 or F64. Raises ModelFileError."""
    return _read(file, tensor, where, tensor.start, tensor.stop).reshape(tensor.shape)


def read_rows(file: BufferedReader, tensor: StoredTensor, where: str, most: int) -> Iterator[FloatArray]:
    """As `read_tensor`, some rows after others: about `most` numbers at a time."""
    rows, *row = tensor.shape
    size = (tensor.stop - tensor.start) // max(1, rows)  # bytes of a row
    step = max(1, most // max(1, math.prod(row)))
    for first in range(0, rows, step):
        count = min(step, rows - first)
        start = tensor.start + first * size
        yield _read(file, tensor, where, start, start + count * size).reshape(count, *row)


def _read(file: BufferedReader, tensor: StoredTensor, where: str, start: int, stop: int) -> FloatArray:
    raw = np.empty(stop - start, np.uint8)
    try:
        file.seek(start)
        count = file.readinto(raw.data) if raw.size else 0
    except OSError as problem:
        raise ModelFileError(f"{where} can't be read: {reason(problem)}") from problem
    if count != raw.size:
        raise ModelFileError(f"{where} ends inside the tensor {quoted(tensor.name)}: it changed while it was read")
    return _as_float32(raw, tensor, where)


def _as_float32(raw: npt.NDArray[np.uint8], tensor: StoredTensor, where: str) -> FloatArray:
    if tensor.dtype == "BF16":
        return from_bfloat16(raw.view("<u2"))
    kinds = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}
    if tensor.dtype not in kinds:
        raise ModelFileError(
            f"{where}: tensor {quoted(tensor.name)} has the dtype {tensor.dtype}; {', '.join(READABLE)} can be read"
        )
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which the model reports
        return raw.view(kinds[tensor.dtype]).astype(np.float32, copy=False)


def write_file(path: Path, arrays: Mapping[str, npt.NDArray[np.float32]], dtype: str) -> None:
    """Writes float32 arrays as F32, F16 or BF16 (rounded to nearest, ties to even), one at a time, in order.

    The file appears under its name when it is whole and synced. Raises ModelFileError when it can't be
    written, SettingError for an unknown dtype or for values that are infinite in F16.
    """
    convert = _CONVERSIONS.get(dtype)
    if convert is None:
        raise SettingError(f"dtype is {quoted(dtype)}; choose from {', '.join(_CONVERSIONS)}")
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.size * SIZES[dtype]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    with replacing(path, ModelFileError) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, array in arrays.items():
            file.write(convert(name, np.ascontiguousarray(array, np.float32)).data)


def _to_f16(name: str, array: FloatArray) -> npt.NDArray[Any]:
    with np.errstate(over="ignore", under="ignore"):
        half = array.astype("<f2")
    if np.isinf(half).any() and not np.isinf(array).any():
        raise SettingError(f"{name} has values beyond F16's largest, 65504; write BF16 or F32")
    return half


_CONVERSIONS: dict[str, Callable[[str, FloatArray], npt.NDArray[Any]]] = {
    "F32": lambda name, array: array.astype("<f4", copy=False),
    "F16": _to_f16,
    "BF16": lambda name, array: to_bfloat16(array).astype("<u2", copy=False),
}

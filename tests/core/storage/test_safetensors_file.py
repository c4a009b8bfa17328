"""The safetensors format: read and written as the library does, and every fault refused by name."""

from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from sg_core.errors import ModelFileError, SettingError
from sg_core.storage.safetensors_file import read_header, read_tensor, write_file

F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def file(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def read(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    with path.open("rb") as opened:
        header = read_header(opened, "w.safetensors")
        return {name: read_tensor(opened, tensor, "w.safetensors") for name, tensor in header.items()}


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    draw = np.random.default_rng(0)
    return {
        "matrix": draw.standard_normal((5, 7)).astype(np.float32),
        "vector": draw.standard_normal(3).astype(np.float32),
        "transposed": draw.standard_normal((4, 6)).astype(np.float32).T,
        "none": np.zeros((0, 4), np.float32),
        "scalar": np.array(2.5, np.float32),
    }


def test_what_is_written_the_library_reads(tmp_path: Path) -> None:
    write_file(tmp_path / "w", arrays(), "F32")
    loaded = safetensors.numpy.load_file(tmp_path / "w")
    assert set(loaded) == set(arrays())
    for name, array in arrays().items():
        np.testing.assert_array_equal(loaded[name], array)
    with safetensors.safe_open(tmp_path / "w", "np") as opened:
        assert opened.metadata() == {"format": "pt"}
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    stored = arrays() | {"half": np.arange(9, dtype=np.float16), "double": np.arange(5, dtype=np.float64) / 3}
    stored = {name: np.ascontiguousarray(array) for name, array in stored.items()}
    safetensors.numpy.save_file(stored, tmp_path / "w", {"format": "pt"})
    loaded = read(tmp_path / "w")
    assert set(loaded) == set(stored)
    for name, array in stored.items():
        assert loaded[name].dtype == np.float32
        np.testing.assert_array_equal(loaded[name], array.astype(np.float32))


def test_16_bit_forms_come_back_within_their_rounding(tmp_path: Path) -> None:
    array = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    for dtype, bits in (("F16", 11), ("BF16", 8)):
        write_file(tmp_path / "w", {"x": array}, dtype)
        assert (tmp_path / "w").stat().st_size < 2200
        np.testing.assert_allclose(read(tmp_path / "w")["x"], array, rtol=2.0**-bits)  # half a unit in the last place
        # a second time nothing is lost
        write_file(tmp_path / "again", read(tmp_path / "w"), dtype)
        assert (tmp_path / "again").read_bytes() == (tmp_path / "w").read_bytes()


def test_bfloat16_is_the_nearest_ties_to_even(tmp_path: Path) -> None:
    bits = np.random.default_rng(2).integers(0, 1 << 32, 20_000, dtype=np.uint32)
    bits[:10_000] &= np.uint32(0xFFFF8000)  # half of them ties
    edges = [0, 0x80000000, 1, 0x7F7FFFFF, 0xFF7F8000, 0x7F7F7FFF, 0x7F800000, 0x7F800001, 0xFFFFFFFF, 0x3F808000]
    values = np.concatenate([bits, np.array(edges, np.uint32)]).view(np.float32)
    write_file(tmp_path / "w", {"x": values}, "BF16")
    stored = read(tmp_path / "w")["x"]
    number = ~np.isnan(values)
    assert np.isnan(stored[~number]).all()
    assert not np.isnan(stored[number]).any()
    magnitude, kept = np.abs(values[number].astype(np.float64)), values[number].view(np.uint32) >> 16
    with np.errstate(invalid="ignore"):
        below, above = ((((kept & 0x7FFF) + up) << 16).view(np.float32).astype(np.float64) for up in (0, 1))
        above[np.isinf(above) & np.isfinite(below)] = 2.0**128  # where the next number would be
        up = (above - magnitude < magnitude - below) | ((above - magnitude == magnitude - below) & (kept % 2 == 1))
    np.testing.assert_array_equal(stored[number].view(np.uint32) >> 16, kept + (up & np.isfinite(magnitude)))


def test_values_beyond_f16_are_refused_rather_than_made_infinite(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="big has values beyond F16's largest, 65504; write BF16 or F32"):
        write_file(tmp_path / "w", {"big": np.array([1e5], np.float32)}, "F16")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SettingError, match="dtype is 'I8'; choose from F32, F16, BF16"):
        write_file(tmp_path / "w", {}, "I8")


def test_an_existing_file_stays_when_writing_fails(tmp_path: Path) -> None:
    write_file(tmp_path / "w", {"x": np.ones(3, np.float32)}, "F32")
    before = (tmp_path / "w").read_bytes()
    with pytest.raises(SettingError):
        write_file(tmp_path / "w", {"x": np.ones(3, np.float32), "y": np.array([1e9], np.float32)}, "F16")
    assert (tmp_path / "w").read_bytes() == before
    with pytest.raises(ModelFileError, match=r"can't be written: no such file or directory"):
        write_file(tmp_path / "missing" / "w", {}, "F32")


@pytest.mark.parametrize("data", [b"", b"1234567"])
def test_a_file_shorter_than_its_length_field_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(ModelFileError, match=rf"has {len(data)} bytes; a safetensors file begins with 8"):
        read(tmp_path / "w")


@pytest.mark.parametrize(
    ("header", "length", "message"),
    [
        (b"", 0, "header of w.safetensors is not valid JSON"),
        (b"{}", 1 << 63, "its header would have 9,223,372,036,854,775,808 bytes"),
        (b"{}", 8_000_001, "its header would have 8,000,001 bytes, at most 8,000,000 are read"),
        (b"{}", 3, "is cut off or no safetensors file: its header has 3 bytes, the file 10"),
        (b'{"a\xff":1}', None, r"header of w.safetensors is not UTF-8 text \(byte 3\)"),
        (b"{nonsense}", None, "is not valid JSON"),
        (b"<html>", None, "is not valid JSON"),
        (b"[]", None, "holds a JSON list"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None, "nested too deeply"),
        (b'{"x": 1, "x": 2}', None, "has the key 'x' twice"),
        (b'{"\\u001b[31m": 1, "\\u001b[31m": 2}', None, r"has the key .*x1b\[31m' twice"),
        (b'{"__metadata__": {"a": 1}}', None, "__metadata__ that is not an object of strings"),
    ],
)
def test_a_broken_header_is_refused(tmp_path: Path, header: bytes, length: int | None, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        read(file(tmp_path / "w", header, length=length))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, "lacks dtype, shape or data_offsets"),
        ({"dtype": "F32", "shape": [2]}, "lacks dtype, shape or data_offsets"),
        (F32 | {"more": 1}, "or has more than these"),
        (F32 | {"dtype": "F17"}, "has the unknown dtype 'F17'; F32, F16, BF16, F64 can be read"),
        (F32 | {"dtype": 7}, "has the unknown dtype 7"),
        (F32 | {"shape": [-2]}, r"has the shape \[-2\]; a list of sizes is needed"),
        (F32 | {"shape": [2.0]}, r"has the shape \[2.0\]"),
        (F32 | {"shape": [True, 2]}, r"has the shape \[True, 2\]"),
        (F32 | {"shape": [1] * 17}, r"a list of sizes is needed"),
        (F32 | {"shape": [1 << 62, 1 << 62]}, r"has the shape \[4611686018427387904"),
        (F32 | {"shape": [1 << 61, 1 << 61]}, r"has 8 bytes; its shape .* needs "),
        (F32 | {"shape": [3]}, r"has 8 bytes; its shape \[3\] of F32 needs 12"),
        (F32 | {"data_offsets": [8, 0]}, r"has the data_offsets \[8, 0\]"),
        (F32 | {"data_offsets": [-8, 0]}, r"has the data_offsets \[-8, 0\]"),
        (F32 | {"data_offsets": [0, 8, 8]}, r"has the data_offsets \[0, 8, 8\]"),
        (F32 | {"data_offsets": [4, 12]}, "leaves 4 bytes unused"),
    ],
)
def test_a_broken_tensor_is_named(tmp_path: Path, entry: object, message: str) -> None:
    with pytest.raises(ModelFileError, match=f"w.safetensors: tensor 'a\\.b' .*{message}|{message}") as caught:
        read(file(tmp_path / "w", {"a.b": entry}, bytes(8)))
    assert "tensor 'a.b'" in str(caught.value)


@pytest.mark.parametrize(
    ("offsets", "data", "message"),
    [
        ([[0, 8], [8, 16]], 16, None),
        ([[0, 8], [4, 12]], 12, "tensor 'b' overlaps the one before it"),
        ([[0, 8], [0, 8]], 8, "tensor 'b' overlaps the one before it"),
        ([[0, 8], [12, 20]], 20, "tensor 'b' leaves 4 bytes unused"),
        ([[0, 8], [8, 16]], 15, "tensor 'b' ends 1 bytes after the file; the file is cut off"),
        ([[0, 8], [8, 16]], 0, "tensor 'a' ends 8 bytes after the file"),
        ([[0, 8], [8, 16]], 20, "has 4 bytes after its last tensor"),
    ],
)
def test_the_tensors_must_cover_the_file(
    tmp_path: Path, offsets: list[list[int]], data: int, message: str | None
) -> None:
    header = {name: F32 | {"data_offsets": place} for name, place in zip("ab", offsets, strict=True)}
    path = file(tmp_path / "w", header, bytes(data))
    if message is None:
        assert set(read(path)) == {"a", "b"}
        return
    with pytest.raises(ModelFileError, match=message):
        read(path)


def test_other_dtypes_are_refused_by_name(tmp_path: Path) -> None:
    path = file(tmp_path / "w", {"x": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}, bytes(8))
    with pytest.raises(ModelFileError, match="tensor 'x' has the dtype I64; F32, F16, BF16, F64 can be read"):
        read(path)


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    write_file(tmp_path / "w", {"x": np.zeros(100_000, np.float32)}, "F32")
    path = tmp_path / "w"
    with path.open("rb") as opened:
        tensor = read_header(opened, "w")["x"]
        path.write_bytes(path.read_bytes()[:-3])
        opened.seek(0)
        with pytest.raises(ModelFileError, match="w ends inside the tensor 'x': it changed while it was read"):
            read_tensor(opened, tensor, "w")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_harmless_never_a_crash(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A byte of the header changed, inserted or removed anywhere: refused, or tensors of the right sizes."""
    folder = tmp_path_factory.getbasetemp()
    write_file(folder / "whole", {"a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.float32)}, "F32")
    content = bytearray((folder / "whole").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    (folder / "damaged").write_bytes(content)
    with contextlib.suppress(ModelFileError):
        assert sum(array.size for array in read(folder / "damaged").values()) <= len(content) // 2

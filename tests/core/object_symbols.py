"""The names that an object file leaves to whoever loads it: ELF, COFF and Mach-O, 64 bits, little-endian."""

from __future__ import annotations

import struct


def undefined_symbols(data: bytes) -> set[str]:
    """As C names: without the underscore that macOS puts before each."""
    if data[:4] == b"\x7fELF":
        return _elf(data)
    if data[:4] == b"\xcf\xfa\xed\xfe":
        return {name.removeprefix("_") for name in _macho(data)}
    return _coff(data)


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()


def _elf(data: bytes) -> set[str]:
    [first], [size, count] = struct.unpack_from("<Q", data, 40), struct.unpack_from("<HH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, first + size * number) for number in range(count)]
    names = set()
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind == 2:  # SHT_SYMTAB; its names are in section `link`
            for place in range(offset, offset + length, 24):
                name, _, _, section = struct.unpack_from("<IBBH", data, place)
                if name and section == 0:
                    names.add(_text(data, sections[link][4] + name))
    return names


def _coff(data: bytes) -> set[str]:
    table, count = struct.unpack_from("<II", data, 8)
    names, number = set(), 0
    while number < count:
        place = table + 18 * number
        short, value, section, _, storage, more = struct.unpack_from("<8sIhHBB", data, place)
        if section == 0 and value == 0 and storage == 2:  # IMAGE_SYM_CLASS_EXTERNAL
            zeros, offset = struct.unpack("<II", short)
            names.add(short.rstrip(b"\0").decode() if zeros else _text(data, table + 18 * count + offset))
        number += 1 + more
    return names


def _macho(data: bytes) -> set[str]:
    [commands] = struct.unpack_from("<I", data, 16)
    names, place = set(), 32
    for _ in range(commands):
        kind, size = struct.unpack_from("<II", data, place)
        if kind == 2:  # LC_SYMTAB
            symbols, count, strings, _ = struct.unpack_from("<IIII", data, place + 8)
            for symbol in range(symbols, symbols + 16 * count, 16):
                name, attributes, _, _, size = struct.unpack_from("<IBBHQ", data, symbol)
                if attributes & 0x0F == 1 and size == 0:  # N_UNDF | N_EXT; one that has a size is made here
                    names.add(_text(data, strings + name))
        place += size
    return names

"""Calling a compiled entry by its address from another one, so that it need not be compiled there once more."""

from __future__ import annotations

from typing import Any

from numba import types

from sg_core.kernels.simd import cgutils, intrinsic


def address_of(entry: Any, arguments: tuple[Any, ...]) -> int:
    """Where the machine code of an entry lies for arguments of these types; compiled if it was not, and never moved."""
    kinds = tuple(entry.typeof_pyval(argument) for argument in arguments)
    entry.compile(kinds)
    result = entry.overloads[kinds]
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))


@intrinsic
def call_at(typing, address, arguments):  # type: ignore[no-untyped-def]
    """Call what lies at `address`, an entry that returns nothing, with a tuple of arguments of exactly its types."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kinds = tuple(sig.args[1])
        convention = context.call_conv
        pointer = builder.inttoptr(args[0], convention.get_function_type(types.none, kinds).as_pointer())
        convention.call_function(builder, pointer, types.none, kinds, cgutils.unpack_tuple(builder, args[1]))
        return context.get_dummy_value()

    return types.void(types.int64, arguments), generate

"""Numba functions on plain arrays: one file an operation, `_forward` and `_backward` side by side.

Every kernel takes `thread` and `threads`, and computes its share of the rows or columns of the result. Each
element is summed in one fixed order, so the result is the same bits for any number of threads, and for a row
computed alone or among others.

Loops run from 0 over slices: an index that starts elsewhere might be negative for all the compiler knows, and the
test for Python's wraparound keeps the loop from becoming vector code.
"""

"""
Lists of records, stored as columns: each key once, and the values of one kind side by side.

A list of dictionaries with the same keys in the same order, as a query or an API gives, is written in half
the space of msgpack, and less than pickle takes; a list of tuples of one length likewise. Both are common
enough, and large enough, to be worth the care about nanoseconds below.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from types import CodeType, FunctionType
from typing import Any, Final, cast

from ormsgpack import packb

from cachegrid.codecs.buffers import holds_buffer, may_hold_bytes
from cachegrid.codecs.exact import STRICT
from cachegrid.codecs.kinds import MAKERS, RECORDS, TABLE, Maker

__all__ = ["FEWEST", "columns_of"]

FEWEST: Final = 8  # records that are worth it
_MOST_KEYS: Final = 255  # that reading gets a function of its own for

Column = list[Any]
Fill = Callable[[Iterable[tuple[Any, ...]]], None]


def columns_of(rows: list[Any], pack: Callable[[Any], bytes]) -> tuple[int, bytes] | None:
    """
    The code and the body of a list of records, or None if it is not one.

    `pack` packs a column that msgpack alone cannot, or raises.
    """
    first = rows[0]
    if type(first) is dict and first and {*map(type, rows)} == {dict}:
        values = _values_if_alike(rows)
        if values:
            return RECORDS, b"\x94" + packb([*first], None, STRICT) + _pack_columns(first.values(), values, pack)
    elif type(first) is tuple and first and {*map(type, rows)} == {tuple} and len({*map(len, rows)}) == 1:
        return TABLE, b"\x93" + _pack_columns(first, _joined(rows), pack)
    return None


def _joined(rows: list[tuple[Any, ...]]) -> list[Any]:
    values: list[Any] = []
    extend = values.extend
    for row in rows:
        extend(row)  # half the price of chain.from_iterable
    return values


def _values_if_alike(rows: list[dict[Any, Any]]) -> list[Any] | None:
    """All values, row by row, if the keys of the first row are text and all rows have these in this order."""
    if [*rows[0]] != [*rows[-1]]:  # soon told of rows that are not alike at all
        return None
    keys: list[Any] = []
    values: list[Any] = []
    add_keys, add_values = keys.extend, values.extend
    for row in rows:
        add_keys(row)
        add_values(row.values())
    wanted = keys[: len(rows[0])]
    if {*map(type, wanted)} != {str} or keys != wanted * len(rows) or not _are_text(rows, keys):
        return None
    return values


class _Text(str):
    __slots__ = ()


_size_of: Final = dict.__sizeof__
# CPython keeps dictionaries whose keys are all text, and not of a subclass, in a smaller form.
_SIZE_TELLS: Final = _size_of({"key": 0}) != _size_of({_Text("key"): 0})


def _are_text(rows: list[dict[Any, Any]], keys: list[Any]) -> bool:
    """Whether all keys, known to equal text, are text: one of a subclass would come back as another type."""
    if _SIZE_TELLS and {*map(_size_of, rows)} == {_size_of(dict.fromkeys(rows[0]))}:
        return True
    try:
        packb(keys, None, STRICT)
    except TypeError:
        return False
    return True


def _pack_columns(first: Iterable[Any], values: list[Any], pack: Callable[[Any], bytes]) -> bytes:
    """
    Three parts of a list in msgpack: the mask, the columns that are 0 in it, and those that are 1.

    The numbers are packed apart, because their bytes can look like anything: the rest shows at a glance
    whether it may hold a bytearray or a memoryview, which would come back as bytes.
    """
    mask, width, others_at, numbers_at = _plan_of(tuple(map(type, first)))
    others = [values[index::width] for index in others_at]  # slices cost half of what zip(*rows) does
    numbers = [values[index::width] for index in numbers_at]
    try:
        packed = packb(others, None, STRICT)
        packed_numbers = packb(numbers, None, STRICT)
    except TypeError:
        return _pack_each(values, width, pack)
    if (may_hold_bytes(packed) and any(map(holds_buffer, others))) or not all(map(_lacks_buffers, numbers)):
        return _pack_each(values, width, pack)
    return mask + packed + packed_numbers


@lru_cache(maxsize=256)
def _plan_of(kinds: tuple[type, ...]) -> tuple[bytes, int, list[int], list[int]]:
    """By the types in the first row: the packed mask, how many columns, which of them are others, and which numbers."""
    mask = bytes(kind is int or kind is float for kind in kinds)
    others = [index for index, is_number in enumerate(mask) if not is_number]
    numbers = [index for index, is_number in enumerate(mask) if is_number]
    return packb(mask if others and numbers else b""), len(kinds), others, numbers


def _lacks_buffers(column: Column) -> bool:
    """Whether there are nothing but numbers in a column that msgpack could pack: found in C, at 4 ns for each."""
    try:
        sum(column)  # fails at a buffer, and at everything else that msgpack has
    except TypeError:
        return not holds_buffer(column)
    return True


def _pack_each(values: list[Any], width: int, pack: Callable[[Any], bytes]) -> bytes:
    """The same three parts, for columns of any kind."""
    columns = [pack(values[index::width]) for index in range(width)]
    return b"".join((packb(b""), _array_head(width), *columns, packb([])))


def _array_head(size: int) -> bytes:
    if size < 16:
        return bytes([0x90 | size])
    return b"\xdc" + size.to_bytes(2, "big") if size < 1 << 16 else b"\xdd" + size.to_bytes(4, "big")


def _make_records(parts: list[Any]) -> list[dict[str, Any]]:
    keys, mask, others, numbers = parts
    return _shape_of(tuple(keys)).rows(_in_order(mask, others + numbers))


def _make_table(parts: list[Any]) -> list[tuple[Any, ...]]:
    mask, others, numbers = parts
    return [*zip(*_in_order(mask, others + numbers), strict=True)]


def _in_order(mask: bytes, columns: list[Column]) -> Sequence[Column]:
    return _order_of(mask)(columns) if mask else columns


@lru_cache(maxsize=256)
def _order_of(mask: bytes) -> Callable[[list[Column]], tuple[Column, ...]]:
    """What puts columns back in order after those with 1 in the mask were moved behind those with 0."""
    moved = sorted(range(len(mask)), key=mask.__getitem__)  # where each column came from
    return itemgetter(*sorted(moved, key=moved.__getitem__)) if len(mask) > 1 else tuple


class _Shape:
    """The keys of records, and the quickest way to fill records with such."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        if not keys or {*map(type, keys)} != {str} or len({*keys}) != len(keys):
            raise ValueError("records need keys, each of them text and there once")
        self._keys = keys
        self._uses = 0
        self._fill: Fill | None = None
        self._empty: dict[str, Any] = {}

    def rows(self, columns: Sequence[Column]) -> list[dict[str, Any]]:
        """The records that have these columns."""
        if len(columns) != len(self._keys):
            raise ValueError(f"{len(self._keys)} keys do not fit {len(columns)} columns")
        fill = self._fill
        if fill is None:
            self._uses += 1
            if self._uses == 1 or len(self._keys) > _MOST_KEYS:  # once is no reason to compile
                return [dict(zip(self._keys, row, strict=True)) for row in zip(*columns, strict=True)]
            fill = self._learn()
        rows = [*map(dict, repeat(self._empty, len(columns[0])))]
        fill(zip(rows, *columns, strict=True))
        return rows

    def _learn(self) -> Fill:
        fill = _filler(self._keys)
        # Made by the function, so that its keys are the very objects that the function stores under.
        fill([(self._empty, *repeat(None, len(self._keys)))])
        self._fill = fill
        return fill


def _filler(keys: tuple[str, ...]) -> Fill:
    """
    A function that takes (record, value, value...) again and again, and puts the values under `keys`.

    It is the loop that one would write by hand for these keys, and twice as fast as `dict(zip(...))`. It is
    made from a syntax tree with the keys as constants: nothing that was stored is ever read as source.
    """
    tree = ast.parse("def fill(rows):\n    for record, value in rows: pass")
    loop = cast("ast.For", cast("ast.FunctionDef", tree.body[0]).body[0])
    record = ast.Name("record", ast.Load())
    places = [ast.Subscript(record, ast.Constant(key), ast.Store()) for key in keys]
    loop.target = ast.Tuple([ast.Name("record", ast.Store()), *places], ast.Store())
    module = compile(ast.fix_missing_locations(tree), "<records>", "exec")
    code = next(constant for constant in module.co_consts if isinstance(constant, CodeType))
    return FunctionType(code, {})


@lru_cache(maxsize=256)
def _shape_of(keys: tuple[str, ...]) -> _Shape:
    return _Shape(keys)


MAKERS[RECORDS] = Maker(nested=True, make=_make_records)
MAKERS[TABLE] = Maker(nested=True, make=_make_table)

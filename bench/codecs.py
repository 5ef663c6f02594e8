"""
What `plain` takes beside pickle, for values as programs cache them.

    python bench/codecs.py             a table: microseconds and bytes, and plain's share of what pickle takes
    python bench/codecs.py --json      the same as one JSON object
    python bench/codecs.py --check     1 if plain is slower, or larger, for a value that it must not be

Both codecs take turns, thousands of times, and the best turn of each counts: what else runs on the machine can
only add to it. To read a megabyte is to copy it once, the same in both but for chance: a share up to 1.05
passes for equal.
"""

from __future__ import annotations

import argparse
import json
import pickle
import random
import string
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from cachegrid.codecs import codec_named, compose

EQUAL = 1.05
SECONDS = 0.7  # for each pair that is compared
PLAIN = codec_named("plain")
CHANCE = random.Random(7)


def word(size: int) -> str:
    """Some text that no other value has."""
    return "".join(CHANCE.choices(string.ascii_lowercase + " ", k=size))


def record(number: int) -> dict[str, Any]:
    """Twenty fields, as a row of a table of places has them; no two records share a text."""
    return {
        "id": 100_000 + number,
        "name": word(14),
        "ascii_name": word(14),
        "country": word(2),
        "region": word(2),
        "latitude": CHANCE.uniform(-90, 90),
        "longitude": CHANCE.uniform(-180, 180),
        "population": CHANCE.randrange(10**6),
        "timezone": word(14),
        "is_active": CHANCE.random() < 0.5,
        "parent": None,
        "score": CHANCE.random(),
        "email": word(18),
        "street": word(14),
        "zip": word(5),
        "phone": word(11),
        "created": 1_700_000_000 + CHANCE.randrange(10**6),
        "updated": 1_700_000_500 + CHANCE.randrange(10**6),
        "visits": CHANCE.randrange(1000),
        "kind": word(4),
    }


def rich(number: int) -> dict[str, Any]:
    """A record with the types that a database gives."""
    moment = datetime(2024, 5, 17, 12, 30, tzinfo=UTC) + timedelta(seconds=CHANCE.random() * 1e6)
    price = Decimal(CHANCE.randrange(10**6)) / 100
    return record(number) | {"created": moment, "updated": moment, "price": price, "key": UUID(int=number)}


RECORDS = [record(number) for number in range(100)]

# Each case is a list of values that are taken in turn, so that no one value's luck counts.
MUST: dict[str, list[Any]] = {
    "a record of 20 fields": RECORDS[:50],
    "a list of 100 such": [RECORDS],
    "a datetime": [datetime(2024, 5, 17, 12, 30, 1, number, tzinfo=UTC) for number in range(20)],
    "1 MB of bytes": [CHANCE.randbytes(1_000_000)],
}
BESIDES: dict[str, list[Any]] = {
    "100 records in an envelope": [{"total": 812, "places": RECORDS}],
    "a record with dates, a decimal, a UUID": [rich(number) for number in range(20)],
    "100 rows as tuples": [[tuple(row.values()) for row in RECORDS]],
    "1,000 floats": [[CHANCE.random() for _ in range(1000)]],
    "200 characters": [word(200) for _ in range(20)],
    "a dictionary of 50 integer keys": [{number: word(5) for number in range(50)}],
}


def best_of(first: Callable[[], object], second: Callable[[], object], calls: int) -> tuple[float, float]:
    """Microseconds that each takes for one of its `calls`, at best."""
    best = [float("inf"), float("inf")]
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        for index, act in enumerate((first, second)):
            began = time.perf_counter()
            act()
            best[index] = min(best[index], time.perf_counter() - began)
    return best[0] / calls * 1e6, best[1] / calls * 1e6


def each(act: Callable[[Any], object], values: list[Any], rounds: int) -> Callable[[], object]:
    """What acts on each value in turn, several times."""

    def run() -> None:
        for _ in range(rounds):
            for value in values:
                act(value)

    return run


def pickled(value: Any) -> bytes:
    """The yardstick."""
    return pickle.dumps(value, 5)


def compare(values: list[Any]) -> dict[str, dict[str, float]]:
    """Time to encode and to decode, and size, of `plain`, of pickle, and the share of the one in the other."""
    ours, theirs = [*map(PLAIN.encode, values)], [*map(pickled, values)]
    if [*map(PLAIN.decode, ours)] != values:
        raise AssertionError("what came back is not what was put")
    rounds = max(1, 40 // len(values)) if len(ours[0]) < 1000 else 1
    calls = rounds * len(values)
    encode = best_of(each(PLAIN.encode, values, rounds), each(pickled, values, rounds), calls)
    decode = best_of(each(PLAIN.decode, ours, rounds), each(pickle.loads, theirs, rounds), calls)
    size = sum(map(len, ours)) / len(values), sum(map(len, theirs)) / len(values)
    return {
        name: {"plain": round(pair[0], 3), "pickle": round(pair[1], 3), "share": round(pair[0] / pair[1], 3)}
        for name, pair in (("encode_us", encode), ("decode_us", decode), ("bytes", size))
    }


def whole_way() -> dict[str, float]:
    """Microseconds for a small value to become a frame and come back, and what of it the codec takes."""
    pipeline, value = compose("plain", cache="bench"), RECORDS[0]
    times: dict[str, Any] = {"created": 1_700_000_000_000, "version": 1 << 60, "ttl": 60_000}
    raw, payload = pipeline.freeze(b"address", "key", value, **times), PLAIN.encode(value)

    def freeze(value: Any) -> bytes:
        return pipeline.freeze(b"address", "key", value, created=1_700_000_000_000, version=1 << 60, ttl=60_000)

    def thaw(raw: bytes) -> Any:
        return pipeline.thaw(b"address", raw)

    frozen = best_of(each(freeze, [value], 100), each(PLAIN.encode, [value], 100), 100)
    thawed = best_of(each(thaw, [raw], 100), each(PLAIN.decode, [payload], 100), 100)
    names = ("freeze_us", "encode_us", "thaw_us", "decode_us")
    return {name: round(value, 3) for name, value in zip(names, (*frozen, *thawed), strict=True)}


def is_kept(figures: dict[str, dict[str, float]]) -> bool:
    """Whether plain takes no more than pickle, and less space."""
    return (
        figures["encode_us"]["share"] <= EQUAL
        and figures["decode_us"]["share"] <= EQUAL
        and figures["bytes"]["plain"] < figures["bytes"]["pickle"]
    )


def show(results: dict[str, dict[str, dict[str, float]]], way: dict[str, float]) -> None:
    """Print the table."""
    print(f"{'':40}{'encode, us':>24}{'decode, us':>24}{'bytes':>26}")
    print(f"{'':40}" + f"{'plain':>8}{'pickle':>8}{'share':>8}" * 2 + f"{'plain':>10}{'pickle':>10}{'share':>6}")
    for name, figures in results.items():
        cells = [figures[column] for column in ("encode_us", "decode_us", "bytes")]
        line = "".join(f"{cell['plain']:8.2f}{cell['pickle']:8.2f}{cell['share']:8.2f}" for cell in cells[:2])
        print(f"{name:40}{line}{cells[2]['plain']:10.0f}{cells[2]['pickle']:10.0f}{cells[2]['share']:6.2f}")
    print(f"\na record to a frame: {way['freeze_us']:.2f} us, of which the codec {way['encode_us']:.2f}; ", end="")
    print(f"and back: {way['thaw_us']:.2f} us, of which the codec {way['decode_us']:.2f}")


def main() -> int:
    """Measure, and tell in the form that was asked for."""
    parser = argparse.ArgumentParser(description="What the codec plain takes beside pickle.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--check", action="store_true", help="exit with 1 if plain takes more where it must not")
    asked = parser.parse_args()
    must = {name: compare(values) for name, values in MUST.items()}
    besides = {name: compare(values) for name, values in BESIDES.items()}
    way = whole_way()
    failed = [name for name, figures in must.items() if not is_kept(figures)]
    if asked.json:
        print(json.dumps({"must": must, "besides": besides, "whole_way": way, "failed": failed}, indent=2))
    else:
        show(must | besides, way)
    if asked.check and failed:
        print(f"plain takes more than pickle for {', '.join(failed)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

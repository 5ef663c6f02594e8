"""Entries by command, in a real grid of three owners."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachegrid import Key, SyncGrid, connect
from cachegrid.testing.loopback import LoopbackGrid
from tests.cli.command import PROGRAM, Done, cachegrid, environment

pytestmark = pytest.mark.grid


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a grid that all tests share, each with a cache of its own."""
    with LoopbackGrid(replicas=0) as grid:
        yield grid.url


@pytest.fixture
def grid(url: str) -> Iterator[SyncGrid]:
    """The same grid, as a program sees it."""
    with connect(url) as grid:
        yield grid


@pytest.fixture(autouse=True)
def _the_grid(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHEGRID_URL", url)


def test_what_is_set_can_be_got_and_dropped() -> None:
    """
    By people: a value is printed as it is, and success needs no words.
    """
    assert (0, "", "") == cachegrid("set", "prices", "sku-1", "9.90")
    assert (0, "9.90\n", "") == cachegrid("get", "prices", "sku-1")
    assert (0, "", "") == cachegrid("delete", "prices", "sku-1")
    assert (1, "", "cachegrid: cache 'prices' has no entry for 'sku-1'\n") == cachegrid("get", "prices", "sku-1")
    assert 1 == cachegrid("delete", "prices", "sku-1").code


@pytest.mark.parametrize(
    ("text", "kind", "value", "shown", "told"),
    [
        ("9.90", "str", "9.90", "9.90", "9.90"),
        ("9.90", "float", 9.9, "9.9", 9.9),
        ("90", "int", 90, "90", 90),
        ("null", "json", None, "None", None),
        ('{"a": [1, true]}', "json", {"a": [1, True]}, "{'a': [1, True]}", {"a": [1, True]}),
        ("ab", "bytes", b"ab", "b'ab'", {"$bytes": "YWI="}),
        ("00ff", "hex", b"\0\xff", "b'\\x00\\xff'", {"$bytes": "AP8="}),
        ('{"$tuple": [1]}', "json", (1,), "(1,)", {"$tuple": [1]}),
        (
            '{"$date": "2026-01-31"}',
            "json",
            dt.date(2026, 1, 31),
            "datetime.date(2026, 1, 31)",
            {"$date": "2026-01-31"},
        ),
    ],
)
def test_a_value_is_the_same_for_programs_people_and_json(
    grid: SyncGrid, text: str, kind: str, value: object, shown: str, told: object
) -> None:
    """
    Its type is said, never guessed, and what `get --json` prints `set --type json` takes.
    """
    assert 0 == cachegrid("set", "values", "k", text, "--type", kind).code
    stored = grid.cache("values")["k"]
    assert (value, type(value)) == (stored, type(stored))
    assert f"{shown}\n" == cachegrid("get", "values", "k").out
    json = cachegrid("get", "values", "k", "--json")
    assert told == json.told
    assert 0 == cachegrid("set", "values", "again", json.out, "--type", "json").code
    assert value == grid.cache("values")["again"]


def test_keys_of_all_types_are_listed_as_they_are_typed(grid: SyncGrid) -> None:
    """
    `1`, `"1"` and `b"1"` are three keys; behind a key that is not text stands its --key-type.
    """
    keys: list[Key] = ["1", 1, b"1", ("a", 1), "user:7"]
    grid.cache("kinds").set_many({key: repr(key) for key in keys})
    lines = cachegrid("keys", "kinds").out.splitlines()
    assert sorted(["1", "1\tint", "31\thex", '["a", 1]\tjson', "user:7"]) == sorted(lines)
    for line in lines:
        text, _, kind = line.partition("\t")
        assert 0 == cachegrid("get", "kinds", text, "--key-type", kind or "str").code
    assert "user:7\n" == cachegrid("keys", "kinds", "--match", "user:*").out
    assert 2 == len(cachegrid("keys", "kinds", "--limit", "2").out.splitlines())
    told = cachegrid("keys", "kinds", "--json").told
    assert sorted(map(str, ["1", 1, {"$bytes": "MQ=="}, {"$tuple": ["a", 1]}, "user:7"])) == sorted(map(str, told))


def test_an_entry_is_told_with_its_times(grid: SyncGrid) -> None:
    """
    A bare number is seconds; looking does not prolong an idle time.
    """
    done = cachegrid("set", "times", "k", "v", "--ttl", "90", "--idle", "1h", "--json")
    assert {"cache": "times", "key": "k", "stored": True} == done.told
    told = cachegrid("get", "times", "k", "--entry", "--json").told
    assert {"key", "value", "version", "created", "expires", "idle_seconds", "size_bytes"} == set(told)
    assert ("k", "v", 3600) == (told["key"], told["value"], told["idle_seconds"])
    left = dt.datetime.fromisoformat(told["expires"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(seconds=30) < left <= dt.timedelta(seconds=90)
    entry = grid.cache("times").entry("k")
    assert entry is not None
    assert entry.version.hex() == told["version"]
    assert "1:00:00" in cachegrid("get", "times", "k", "--entry").out


def test_files_go_in_and_out_unchanged() -> None:
    """
    Through the standard input and --raw.
    """
    content = bytes(range(256)) * 10
    assert 0 == cachegrid("set", "files", "logo", "-", "--type", "bytes", stdin=content).code
    out = subprocess.run(
        [*PROGRAM, "get", "files", "logo", "--raw"], capture_output=True, env=environment(), check=True
    )
    assert content == out.stdout
    assert 0 == cachegrid("set", "files", "page", "-", stdin="größer\n".encode()).code
    assert (0, "größer\n", "") == cachegrid("get", "files", "page", "--raw")
    cachegrid("set", "files", "number", "5", "--type", "int")
    assert Done(2, "", "cachegrid: --raw is for text and bytes, and this is int; use --json\n") == cachegrid(
        "get", "files", "number", "--raw"
    )


def test_a_long_text_is_printed_in_one_line() -> None:
    """
    A pipe has no width.
    """
    cachegrid("set", "long", "k", "word " * 100)
    assert "word " * 100 + "\n" == cachegrid("get", "long", "k").out


def test_clear_drops_all_of_one_cache(grid: SyncGrid) -> None:
    """
    And nothing of another; their memory is free when the command ends.
    """
    grid.cache("doomed").set_many({f"k{number}": number for number in range(500)})
    grid.cache("spared")["k"] = 1
    before = cachegrid("stats", "--json").told["entries"]
    assert {"cache": "doomed", "cleared": True} == cachegrid("clear", "doomed", "--json").told
    assert [] == cachegrid("keys", "doomed", "--json").told
    assert ["k"] == cachegrid("keys", "spared", "--json").told
    assert before - 500 == cachegrid("stats", "--json").told["entries"]


def test_stats_tell_of_the_grid_and_of_a_cache(grid: SyncGrid) -> None:
    """
    In words for people, and the same in JSON.
    """
    grid.cache("counted").set_many({f"k{number}": "x" * 50 for number in range(30)}, ttl="1h")
    told = cachegrid("stats", "counted", "--json").told
    assert ("counted", 30, 30, 30) == (told["cache"], told["entries"], told["sampled"], told["expiring"])
    assert 50 < told["mean_bytes"] <= told["largest_bytes"] < 200
    whole = cachegrid("stats", "--json").told
    assert (3, 0) == (whole["members"], whole["dead"])
    assert 0.0 < whole["hit_ratio"] < 1.0
    assert "hit ratio" in cachegrid("stats").out


def test_a_value_of_another_codec_is_not_called_missing(tmp_path: Path) -> None:
    """
    The settings of the program that wrote it help.
    """
    settings = tmp_path / "cachegrid.toml"
    settings.write_text('[caches.odd]\ncodec = "json"\n')
    assert 0 == cachegrid("set", "odd", "k", "v", "--config", str(settings)).code
    done = cachegrid("get", "odd", "k")
    assert 4 == done.code
    assert "--config" in done.err
    assert "v\n" == cachegrid("get", "odd", "k", "--config", str(settings)).out


def test_a_value_that_is_too_large_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    """
    The limit is the cache's.
    """
    settings = tmp_path / "cachegrid.toml"
    settings.write_text('[caches.small]\nmax_value = "1kB"\n')
    cachegrid("set", "small", "k", "old")
    done = cachegrid("set", "small", "k", "-", "--config", str(settings), stdin=b"x" * 2000)
    assert 4 == done.code
    assert "max_value" in done.err
    assert "old\n" == cachegrid("get", "small", "k").out


def test_a_reader_who_has_read_enough_is_no_error(grid: SyncGrid) -> None:
    """
    `cachegrid keys big | head -1` says nothing on stderr.
    """
    grid.cache("big").set_many({f"{'k' * 200}{number}": 1 for number in range(2000)})
    run = subprocess.run(
        ["/bin/sh", "-c", '"$@" | head -1', "sh", *PROGRAM, "keys", "big"],
        capture_output=True,
        env=environment(),
        timeout=30,
        check=True,
    )
    assert (1, b"") == (run.stdout.count(b"\n"), run.stderr)


def test_only_entries_are_counted(grid: SyncGrid) -> None:
    """
    Not what is noted beside them, such as the epoch of a cache.
    """
    before = cachegrid("stats", "--json").told["entries"]
    grid.cache("tallied").set_many({"one": 1, "two": 2}, ttl="1h")
    grid.cache("tallied")["three"] = 3
    assert before + 3 == cachegrid("stats", "--json").told["entries"]

"""Entries of a grid: get, set, delete, keys, clear, stats."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cachegrid.cli.exits import Exit, fail
from cachegrid.cli.options import CacheName, Config, Json, KeyKind, KeyText, Name, Url
from cachegrid.cli.words import KeyType, ValueType, duration_in, key_in, text_of_key, value_in

if TYPE_CHECKING:
    from cachegrid._core.entry import Entry

__all__ = ["clear", "delete", "get", "keys", "set_", "stats"]

SAMPLE = 1000


def get(
    cache: CacheName,
    key: KeyText,
    *,
    key_type: KeyKind = KeyType.TEXT,
    whole: Annotated[bool, typer.Option("--entry", help="With its version, times and size.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Text or bytes exactly as they are, for files and pipes.")] = False,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Print the value of an entry.

    Text as it is, anything else as Python writes it. The exit code is 1 if there is no entry. With --json, what JSON
    has no word for is an object such as {"$bytes": "aGk="}.
    """
    from cachegrid.cli.reach import reached
    from cachegrid.errors import EntryNotFound, FrameError

    wanted = key_in(key, key_type)
    with reached(url, name, config) as grid:
        opened = grid.cache(cache)
        entry = opened.entry(wanted)
    if entry is None and opened.stats().damaged:
        raise FrameError(
            f"the entry {key!r} of cache {cache!r} cannot be read: it is damaged, or of another codec; "
            "with --config name the settings of the program that wrote it"
        )
    if entry is None:
        raise EntryNotFound(cache, wanted)
    if raw:
        _write_raw(entry.value)
    elif as_json:
        _print_json(_entry_told(entry) if whole else entry.value)
    else:
        _show(entry, whole=whole)


def set_(
    cache: CacheName,
    key: KeyText,
    value: Annotated[str, typer.Argument(help="The value; - reads it from the standard input.")],
    *,
    kind: Annotated[
        ValueType, typer.Option("--type", "-t", help="What VALUE is; json also for lists, true, null ...")
    ] = ValueType.TEXT,
    ttl: Annotated[
        str | None, typer.Option(metavar="TIME", help='How long it lives: "90" seconds, "5m", "1h30m".')
    ] = None,
    idle: Annotated[str | None, typer.Option(metavar="TIME", help="How long it lives without being read.")] = None,
    key_type: KeyKind = KeyType.TEXT,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Store a value, whatever was there.

    VALUE is text, unless --type says otherwise.
    """
    from cachegrid.cli.reach import reached

    stored_as, stored = key_in(key, key_type), value_in(value, kind)
    times: dict[str, Any] = {
        what: duration_in(f"--{what}", text) for what, text in (("ttl", ttl), ("idle", idle)) if text is not None
    }
    with reached(url, name, config) as grid:
        grid.cache(cache).set(stored_as, stored, **times)
    if as_json:
        _print_json({"cache": cache, "key": stored_as, "stored": True})


def delete(
    cache: CacheName,
    keys: Annotated[list[str], typer.Argument(help="The keys.")],
    *,
    key_type: KeyKind = KeyType.TEXT,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Drop entries.

    The exit code is 1 if none of them was there.
    """
    from cachegrid.cli.reach import reached

    wanted = [key_in(key, key_type) for key in keys]
    with reached(url, name, config) as grid:
        dropped = grid.cache(cache).delete_many(wanted)
    if as_json:
        _print_json({"cache": cache, "dropped": dropped})
    elif not dropped:
        fail(f"cache {cache!r} has no entry for {', '.join(keys)}")
    if not dropped:
        raise typer.Exit(Exit.NO)


def keys(
    cache: CacheName,
    *,
    match: Annotated[str | None, typer.Option(metavar="PATTERN", help='Only text that fits, such as "user:*".')] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many.")] = None,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    List the keys of a cache.

    One in a line, in no order; behind one that is not text stands its --key-type. Walks the whole grid.
    """
    from cachegrid.cli.reach import reached

    with reached(url, name, config) as grid:
        found = islice(grid.cache(cache).keys(match), limit)
        if as_json:
            _print_json(list(found))
            return
        for key in found:
            text, kind = text_of_key(key)
            print(text if kind is KeyType.TEXT else f"{text}\t{kind}")


def clear(
    cache: CacheName,
    *,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Drop all entries of a cache."""
    from cachegrid.cli.reach import reached

    with reached(url, name, config) as grid:
        grid.cache(cache).clear()
        grid.settle()  # the memory is free when the command ends
    if as_json:
        _print_json({"cache": cache, "cleared": True})


def stats(
    cache: Annotated[str | None, typer.Argument(help="Only this cache; walks the grid.")] = None,
    *,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Show how a grid is used, or a cache.

    Of a grid: how often its members were asked, and had the answer; reads that programs answered from near copies of
    their own are not among them. Of a cache: how many entries it has, and how large they are. Of both what programs
    counted, near hits included, that share it: those with the setting share_stats. That is kept in the grid, and not
    shown while a part of it has no owner.
    """
    from cachegrid.cli import shared, show
    from cachegrid.cli.reach import reached
    from cachegrid.cli.totals import of_cache, of_members
    from cachegrid.errors import EngineError

    counted, unknown = None, {}
    with reached(url, name, config) as grid:
        totals = of_members(grid.members()) if cache is None else of_cache(grid.cache(cache), SAMPLE)
        known = grid.name
        try:
            counted = grid.shared_stats()
        except EngineError as trouble:
            unknown = {"shared_unknown": str(trouble)}
    if as_json:
        named = {"name": known} if cache is None else {"cache": cache}
        told = None if counted is None else shared.told(counted, cache)
        _print_json({**named, **totals, "shared": told, **unknown})
    else:
        out = show.console()
        facts = {name.replace("_", " "): f"{number:,}" for name, number in totals.items()}
        out.print(show.facts_list(facts), soft_wrap=True)
        if counted is None:
            fail(f"what programs counted is not known: {unknown['shared_unknown']}")
            return
        out.print(shared.heading(counted), soft_wrap=True)
        if counted.processes:
            shown = shared.table(counted, out.width) if cache is None else shared.facts(counted, cache)
            out.print(shown, soft_wrap=cache is not None)


def _show(entry: Entry, *, whole: bool) -> None:
    from cachegrid.cli import show

    out = show.console()
    if not whole and isinstance(entry.value, str) and not out.is_terminal:
        print(entry.value)  # rich would wrap it
    else:
        out.print(show.entry_table(entry) if whole else show.value(entry.value, is_terminal=out.is_terminal))


def _write_raw(value: Any) -> None:
    if not isinstance(value, (str, bytes)):
        fail(f"--raw is for text and bytes, and this is {type(value).__name__}; use --json")
        raise typer.Exit(Exit.USAGE)
    sys.stdout.buffer.write(value.encode() if isinstance(value, str) else value)
    sys.stdout.buffer.flush()


def _entry_told(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "value": entry.value,
        "version": entry.version.hex(),
        "created": entry.created and entry.created.isoformat(),
        "expires": entry.expires and entry.expires.isoformat(),
        "idle_seconds": entry.idle and entry.idle.total_seconds(),
        "size_bytes": entry.size,
    }


def _print_json(told: Any) -> None:
    from cachegrid.cli.jsonform import to_json

    print(json.dumps(to_json(told), ensure_ascii=False))

# Generated from tests/flow/_aio/test_values.py by tools/colour.py. Edit that file, then run `make colour`.
"""Values that cannot be kept, and bytes that are none of ours: nothing is lost, and nobody is bothered."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cachegrid._core.frame import pack
from cachegrid._sio.cache import SyncCache
from cachegrid._sio.grid import SyncGrid
from cachegrid.errors import ConfigError, NotANumber, ValueRefused, ValueTooLarge
from tests.flow._sio.flow import SyncFlow, engine_of

FOREIGN = {
    "nothing": b"",
    "a magic byte": b"\xc9",
    "half a header": b"\xc9\x01" + bytes(10),
    "a newer format": b"\xc9\x63" + bytes(40),
    "no codec": b"\xc9\x01" + bytes(22) + b"\xc1",
    "half a number": b"12x",
    "a number as nobody writes it": b"007",
    "too large a number": b"99999999999999999999",
    "text": b"a value of another program",
    "no payload": pack(b"", codec=1, created=1, version=1, ttl=None),
    "a broken payload": pack(b"\xc1", codec=1, created=1, version=1, ttl=None),
    "another codec": pack(b"x", codec=200, created=1, version=1, ttl=None),
    "not compressed": pack(b"x", codec=1, flags=1, created=1, version=1, ttl=None),
    "not signed": pack(b"x", codec=1, flags=16, created=1, version=1, ttl=None),
    "an unknown flag": pack(b"\x01", codec=1, flags=128, created=1, version=1, ttl=None),
}
foreign = pytest.mark.parametrize("raw", FOREIGN.values(), ids=FOREIGN.keys())


def put(grid: SyncGrid, cache: SyncCache, key: Any, raw: bytes) -> None:
    """Write bytes where the cache keeps a key's entry, past the cache."""
    cache.get(key)  # now it knows its epoch
    engine_of(grid).engine.store(cache._space.address(key), raw, None)


def test_a_value_that_is_too_large_is_refused(grid: SyncGrid) -> None:
    """
    The error says how large it is and may be; the old entry stays.
    """
    cache = grid.cache("small", max_value=100)
    cache.set("key", "old")
    writes: list[Any] = [
        lambda: cache.set("key", b"x" * 101),
        lambda: cache.set_many({"a": 1, "key": b"x" * 101}),
        lambda: cache.replace("key", b"x" * 101),
        lambda: cache.update("key", lambda _: b"x" * 101),
    ]
    for write in writes:
        with pytest.raises(ValueTooLarge, match=r"'key' takes 10\d bytes encoded, and cache 'small' takes at most 100"):
            write()
    assert ("old", None) == (cache.get("key"), cache.get("a"))


def test_a_loaded_value_that_is_too_large_is_an_error(grid: SyncGrid) -> None:
    """
    The caller learns that it cannot be kept; nobody waits for it any longer.
    """
    cache = grid.cache("small", max_value=100)

    def load() -> bytes:
        return b"x" * 101

    with pytest.raises(ValueTooLarge):
        cache.get_or_load("key", load)
    assert not cache.has("key")


def test_a_value_that_cannot_be_kept_is_refused(cache: SyncCache) -> None:
    """
    The error names the cache, the key and the path to the part in question; the old entry stays.
    """
    cache.set("key", "old")
    with pytest.raises(ValueRefused, match=r"'key' in cache 'prices'") as caught:
        cache.set("key", {"a": [1, object()]})
    assert ("value['a'][1]", object) == (caught.value.path, caught.value.kind)
    assert "old" == cache.get("key")


@foreign
def test_foreign_bytes_are_a_counted_miss(grid: SyncGrid, raw: bytes) -> None:
    """
    To every way of reading; no read raises.
    """
    cache = grid.cache("prices")
    put(grid, cache, "key", raw)
    before = cache.stats()
    assert "miss" == cache.get("key", "miss")
    assert {} == cache.get_many(["key"])
    assert not cache.has("key")
    assert None is cache.entry("key")
    after = cache.stats()
    assert (3, 4, 0) == (after.misses - before.misses, after.damaged - before.damaged, after.hits)


@foreign
def test_foreign_bytes_are_replaced(grid: SyncGrid, raw: bytes) -> None:
    """
    By what is loaded, set and updated; they are in nobody's way.
    """
    cache = grid.cache("prices")

    def load() -> str:
        return "loaded"

    put(grid, cache, "load", raw)
    assert "loaded" == cache.get_or_load("load", load)
    put(grid, cache, "set", raw)
    cache.set("set", "set")
    put(grid, cache, "update", raw)
    assert "updated" == cache.update("update", lambda value: f"{value}ed", default="updat")
    found = cache.get_many(["load", "set", "update"])
    assert {"load": "loaded", "set": "set", "update": "updated"} == found


@foreign
def test_nothing_is_added_to_foreign_bytes(grid: SyncGrid, raw: bytes) -> None:
    """
    A counter begins anew, where the bytes can be told to be none.
    """
    cache = grid.cache("prices")
    put(grid, cache, "key", raw)
    try:
        total = cache.incr("key", 5)
    except NotANumber:
        assert not cache.has("key")
    else:
        assert 5 == total == cache.get("key")


def test_another_codec_reads_a_miss(flow: SyncFlow) -> None:
    """
    A process that was given another codec for a cache neither fails nor gets a wrong value, and may write its own.
    """
    written = {"plain": "x", "json": "x", "raw": b"x", "pickle": "x"}
    caches = {codec: (flow.grid()).cache("prices", codec=codec) for codec in written}
    for writer, cache in caches.items():
        cache.set("key", written[writer])
        for reader, other in caches.items():
            assert (written[writer] if reader == writer else None) == other.get("key")


def test_a_signature_of_another_secret_is_a_miss(flow: SyncFlow) -> None:
    """
    What was pickled by somebody who does not know the secret is never loaded.
    """
    ours = (flow.grid()).cache("prices", codec="pickle")
    theirs = (flow.grid(secret=b"another secret of enough length")).cache("prices", codec="pickle")
    ours.set("key", "ours")
    assert None is theirs.get("key")
    theirs.set("key", "theirs")
    assert None is ours.get("key")
    assert 1 == ours.stats().damaged


def test_pickle_needs_a_secret(flow: SyncFlow) -> None:
    """
    A grid without one refuses the cache, not its first value.
    """
    cache = (flow.grid(secret=None)).cache("prices", codec="pickle")
    for _ in range(2):
        with pytest.raises(ConfigError, match="secret"):
            cache.get("key")


def test_compression_changes_nothing(grid: SyncGrid) -> None:
    """
    A long value comes back as it was and takes less room; None switches it off.
    """
    squeezed, plain = grid.cache("squeezed", compress=100), grid.cache("plain", compress=None)
    for cache in (squeezed, plain):
        cache.set("key", "x" * 10_000)
        assert "x" * 10_000 == cache.get("key")
    small, large = squeezed.entry("key"), plain.entry("key")
    assert small is not None
    assert large is not None
    assert small.size < 1000
    assert large.size > 10_000


def test_a_refused_result_names_its_function(cache: SyncCache) -> None:
    """
    And not only the arguments of the call, which any function may have.
    """

    @cache.cached(name="price_of")
    def price_of(sku: str) -> object:
        return {sku: object()}

    with pytest.raises(ValueRefused, match=r"for \('a',\) in cache 'prices/price_of-1': .*, an object: ") as refused:
        price_of("a")
    assert "value['a']" == refused.value.path


def test_code_is_no_value(cache: SyncCache) -> None:
    """
    Nobody is told to register the class of all functions.
    """
    for code, way in ((lambda: 1, "what it returns"), (len, "its name"), (cache.get, "its name, or"), (time, "name")):
        with pytest.raises(ValueRefused, match=f"; store .*{way}") as refused:
            cache.set("a", code)
        assert "register" not in str(refused.value)


def test_what_can_be_no_tag_is_told(cache: SyncCache) -> None:
    """
    Each with what is wrong about it.
    """
    wrongs: dict[str, Any] = {
        "the tag '' takes 0 bytes, and a tag takes 1 to 255": [""],
        "a tag is a str, and 5 is none": ["menu", 5],
        "tags are a str, or several str": 5,
    }
    for told, tags in wrongs.items():
        with pytest.raises(ValueRefused, match=told):
            cache.set("a", 1, tags=tags)

"""Values that cannot be kept, and bytes that are none of ours: nothing is lost, and nobody is bothered."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cachegrid._aio.cache import AsyncCache
from cachegrid._aio.grid import AsyncGrid
from cachegrid._core.frame import pack
from cachegrid.errors import ConfigError, NotANumber, ValueRefused, ValueTooLarge
from tests.flow._aio.flow import AsyncFlow, engine_of

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


async def put(grid: AsyncGrid, cache: AsyncCache, key: Any, raw: bytes) -> None:
    """Write bytes where the cache keeps a key's entry, past the cache."""
    await cache.get(key)  # now it knows its epoch
    await engine_of(grid).engine.store(cache._space.address(key), raw, None)


async def test_a_value_that_is_too_large_is_refused(grid: AsyncGrid) -> None:
    """
    The error says how large it is and may be; the old entry stays.
    """
    cache = grid.cache("small", max_value=100)
    await cache.set("key", "old")
    writes: list[Any] = [
        lambda: cache.set("key", b"x" * 101),
        lambda: cache.set_many({"a": 1, "key": b"x" * 101}),
        lambda: cache.replace("key", b"x" * 101),
        lambda: cache.update("key", lambda _: b"x" * 101),
    ]
    for write in writes:
        with pytest.raises(ValueTooLarge, match=r"'key' takes 10\d bytes encoded, and cache 'small' takes at most 100"):
            await write()
    assert ("old", None) == (await cache.get("key"), await cache.get("a"))


async def test_a_loaded_value_that_is_too_large_is_an_error(grid: AsyncGrid) -> None:
    """
    The caller learns that it cannot be kept; nobody waits for it any longer.
    """
    cache = grid.cache("small", max_value=100)

    async def load() -> bytes:
        return b"x" * 101

    with pytest.raises(ValueTooLarge):
        await cache.get_or_load("key", load)
    assert not await cache.has("key")


async def test_a_value_that_cannot_be_kept_is_refused(cache: AsyncCache) -> None:
    """
    The error names the cache, the key and the path to the part in question; the old entry stays.
    """
    await cache.set("key", "old")
    with pytest.raises(ValueRefused, match=r"'key' in cache 'prices'") as caught:
        await cache.set("key", {"a": [1, object()]})
    assert ("value['a'][1]", object) == (caught.value.path, caught.value.kind)
    assert "old" == await cache.get("key")


@foreign
async def test_foreign_bytes_are_a_counted_miss(grid: AsyncGrid, raw: bytes) -> None:
    """
    To every way of reading; no read raises.
    """
    cache = grid.cache("prices")
    await put(grid, cache, "key", raw)
    before = cache.stats()
    assert "miss" == await cache.get("key", "miss")
    assert {} == await cache.get_many(["key"])
    assert not await cache.has("key")
    assert None is await cache.entry("key")
    after = cache.stats()
    assert (3, 4, 0) == (after.misses - before.misses, after.damaged - before.damaged, after.hits)


@foreign
async def test_foreign_bytes_are_replaced(grid: AsyncGrid, raw: bytes) -> None:
    """
    By what is loaded, set and updated; they are in nobody's way.
    """
    cache = grid.cache("prices")

    async def load() -> str:
        return "loaded"

    await put(grid, cache, "load", raw)
    assert "loaded" == await cache.get_or_load("load", load)
    await put(grid, cache, "set", raw)
    await cache.set("set", "set")
    await put(grid, cache, "update", raw)
    assert "updated" == await cache.update("update", lambda value: f"{value}ed", default="updat")
    found = await cache.get_many(["load", "set", "update"])
    assert {"load": "loaded", "set": "set", "update": "updated"} == found


@foreign
async def test_nothing_is_added_to_foreign_bytes(grid: AsyncGrid, raw: bytes) -> None:
    """
    A counter begins anew, where the bytes can be told to be none.
    """
    cache = grid.cache("prices")
    await put(grid, cache, "key", raw)
    try:
        total = await cache.incr("key", 5)
    except NotANumber:
        assert not await cache.has("key")
    else:
        assert 5 == total == await cache.get("key")


async def test_another_codec_reads_a_miss(flow: AsyncFlow) -> None:
    """
    A process that was given another codec for a cache neither fails nor gets a wrong value, and may write its own.
    """
    written = {"plain": "x", "json": "x", "raw": b"x", "pickle": "x"}
    caches = {codec: (await flow.grid()).cache("prices", codec=codec) for codec in written}
    for writer, cache in caches.items():
        await cache.set("key", written[writer])
        for reader, other in caches.items():
            assert (written[writer] if reader == writer else None) == await other.get("key")


async def test_a_signature_of_another_secret_is_a_miss(flow: AsyncFlow) -> None:
    """
    What was pickled by somebody who does not know the secret is never loaded.
    """
    ours = (await flow.grid()).cache("prices", codec="pickle")
    theirs = (await flow.grid(secret=b"another secret of enough length")).cache("prices", codec="pickle")
    await ours.set("key", "ours")
    assert None is await theirs.get("key")
    await theirs.set("key", "theirs")
    assert None is await ours.get("key")
    assert 1 == ours.stats().damaged


async def test_pickle_needs_a_secret(flow: AsyncFlow) -> None:
    """
    A grid without one refuses the cache, not its first value.
    """
    cache = (await flow.grid(secret=None)).cache("prices", codec="pickle")
    for _ in range(2):
        with pytest.raises(ConfigError, match="secret"):
            await cache.get("key")


async def test_compression_changes_nothing(grid: AsyncGrid) -> None:
    """
    A long value comes back as it was and takes less room; None switches it off.
    """
    squeezed, plain = grid.cache("squeezed", compress=100), grid.cache("plain", compress=None)
    for cache in (squeezed, plain):
        await cache.set("key", "x" * 10_000)
        assert "x" * 10_000 == await cache.get("key")
    small, large = await squeezed.entry("key"), await plain.entry("key")
    assert small is not None
    assert large is not None
    assert small.size < 1000
    assert large.size > 10_000


async def test_a_refused_result_names_its_function(cache: AsyncCache) -> None:
    """
    And not only the arguments of the call, which any function may have.
    """

    @cache.cached(name="price_of")
    async def price_of(sku: str) -> object:
        return {sku: object()}

    with pytest.raises(ValueRefused, match=r"for \('a',\) in cache 'prices/price_of-1': .*, an object: ") as refused:
        await price_of("a")
    assert "value['a']" == refused.value.path


async def test_code_is_no_value(cache: AsyncCache) -> None:
    """
    Nobody is told to register the class of all functions.
    """
    for code, way in ((lambda: 1, "what it returns"), (len, "its name"), (cache.get, "its name, or"), (time, "name")):
        with pytest.raises(ValueRefused, match=f"; store .*{way}") as refused:
            await cache.set("a", code)
        assert "register" not in str(refused.value)


async def test_what_can_be_no_tag_is_told(cache: AsyncCache) -> None:
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
            await cache.set("a", 1, tags=tags)

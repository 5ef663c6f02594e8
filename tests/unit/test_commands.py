"""Requests as bytes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libvalkey import Reader, pack_command

from cachegrid.engines.valkey import commands
from cachegrid.engines.valkey.commands import FAR, Script, fetch, pack, store

SCRIPTS = {name: script for name, script in vars(commands).items() if isinstance(script, Script)}

words = st.binary(max_size=200)


def read(request: bytes) -> object:
    """A request as a server reads it: it has the form of a reply that is a list."""
    reader = Reader()
    reader.feed(request)
    return reader.gets()


@given(st.lists(words, min_size=1, max_size=8))
def test_words_are_packed(some: list[bytes]) -> None:
    """
    A request is read as the words it was made of, whatever bytes they hold.
    """
    assert some == read(pack(*some))
    assert pack_command(tuple(some)) == pack(*some)


@given(words)
def test_a_fetch_is_a_get(address: bytes) -> None:
    """
    What is written out for speed says the same as `pack`.
    """
    assert pack(b"GET", address) == fetch(address)


@given(words, words, st.none() | st.integers(1, 2**48))
def test_a_store_is_a_set(address: bytes, frame: bytes, ttl: int | None) -> None:
    """
    A time to live is in milliseconds; without end it is a far one, so that a full member can evict the entry.
    """
    end = b"%d" % (FAR if ttl is None else ttl)
    assert pack(b"SET", address, frame, b"PX", end) == store(address, frame, ttl)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_known_by_its_digest(name: str) -> None:
    """
    A call names the digest that a member computes from the source, and has the keys and arguments in their places.
    """
    script = SCRIPTS[name]
    digest = hashlib.sha1(script.source, usedforsecurity=False).hexdigest().encode()
    assert [b"EVALSHA", digest, b"2", b"k1", b"k2", b"a"] == read(script.call((b"k1", b"k2"), b"a"))
    assert [b"EVAL", script.source, b"1", b"k"] == read(script.send((b"k",)))


def test_scripts_are_all_different() -> None:
    """
    There are scripts, none of them twice, and each is listed among the public names.
    """
    assert len(SCRIPTS) == len({script.digest for script in SCRIPTS.values()}) > 5
    assert set(SCRIPTS) <= set(commands.__all__)

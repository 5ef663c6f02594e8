"""The back end of dogpile.cache: dogpile's own suites, on three owners, and what goes beyond them."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE, CachedValue
from dogpile.cache.region import value_version
from dogpile.testing import fixtures
from dogpile.testing.fixtures import _GenericBackendTestSuite, _GenericMutexTestSuite, _GenericSerializerTestSuite

from cachegrid.errors import ConfigError, LockLost, LockTimeout
from cachegrid.integrations.dogpile import CacheGridBackend
from tests.integrations.backends import jobs

pytestmark = pytest.mark.grid
SOON = 0.15  # seconds; dogpile's test of threads and batches sleeps for half a second, again and again


class OnAGrid:
    """The suites make back ends by name, with the arguments of their class."""

    backend = "cachegrid"
    config_args: ClassVar[dict[str, Any]] = {}
    policy: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _on_a_grid(cls, url: str) -> None:
        cls.config_args = {"arguments": {"url": url, "cache": f"{cls.__name__}-{os.getpid()}", **cls.policy}}

    @pytest.fixture(autouse=True)
    def _in_short(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        if request.node.name == "test_threaded_get_multi":
            hasty = SimpleNamespace(time=time.time, sleep=lambda seconds: time.sleep(min(seconds, SOON)))
            monkeypatch.setattr(fixtures, "time", hasty)


@pytest.mark.slow
class TestBackend(OnAGrid, _GenericBackendTestSuite):
    """What dogpile asks of every back end."""


class TestMutex(OnAGrid, _GenericMutexTestSuite):
    """What it asks of locks of a back end's own."""


class _Quick(OnAGrid, _GenericBackendTestSuite):
    """All but what takes its time, which has nothing to do with how values are kept."""

    test_threaded_dogpile = test_threaded_get_multi = test_region_expire = None


class TestSerializers(_GenericSerializerTestSuite, _Quick):
    """The same where the region has a serializer."""


class TestPickled(_Quick):
    """The same where values may be any objects, and are signed."""

    policy: ClassVar[dict[str, Any]] = {"codec": "pickle", "secret": "that only tests know"}


class TestNear(_Quick):
    """The same with near copies."""

    policy: ClassVar[dict[str, Any]] = {"near": True}


@pytest.fixture
def region(url: str, name: str) -> Any:
    """A region of the test's own; not all of its methods have types."""
    return make_region().configure("cachegrid", arguments={"url": url, "cache": name, "wait": "50ms"})


@pytest.fixture
def backend(region: Any) -> CacheGridBackend:
    """Its back end."""
    assert isinstance(region.backend, CacheGridBackend)
    return region.backend


def test_a_value_is_created_once_in_all_processes(url: str, name: str) -> None:
    """
    Who misses while another creates it waits, and gets that one's.
    """
    begun = [jobs.begin(jobs.create, url, name, "report", 0.3) for _ in range(2)]
    answers = [it.result() for it in begun]
    creators = [creator for _, creator in answers if creator is not None]
    assert 1 == len(creators)
    assert [creators[0]] * 2 == [value for value, _ in answers]


def test_another_creates_when_a_creator_was_killed(url: str, name: str) -> None:
    """
    As soon as its lease has ended.
    """
    region = make_region().configure("cachegrid", arguments={"url": url, "cache": name, "lease": "500ms"})
    creator = jobs.begin(jobs.create, url, name, "report", 60)
    while not region.backend.get_mutex("report").locked():
        assert creator.process.poll() is None
    creator.kill()
    killed = time.monotonic()
    assert "mine" == region.get_or_create("report", lambda: "mine")
    assert time.monotonic() - killed < 4  # on a busy machine; left unsaid, a lease takes five seconds


def test_a_stale_value_is_served_while_it_is_created_anew(url: str, name: str) -> None:
    """
    The region's expiration time is no end: the grid keeps the value on.
    """
    region = make_region().configure("cachegrid", expiration_time=1, arguments={"url": url, "cache": name})
    region.backend.set("k", CachedValue("old", {"ct": time.time() - 60, "v": value_version}))
    assert NO_VALUE is region.get("k")
    mutex = region.backend.get_mutex("k")
    assert mutex.acquire()
    assert "old" == region.get_or_create("k", lambda: "new")
    mutex.release()
    assert "new" == region.get_or_create("k", lambda: "new")


def test_ttl_ends_what_nobody_creates_anew(url: str, name: str) -> None:
    """
    It is the policy of the cache.
    """
    region = make_region().configure("cachegrid", arguments={"url": url, "cache": name, "ttl": "1m"})
    region.set("k", 1)
    entry = region.backend._cache.entry("k")
    assert 60 == round((entry.expires - entry.created).total_seconds())


def test_a_value_that_others_have_signed_is_none(url: str, name: str) -> None:
    """
    Nobody who writes to the servers makes this process read his pickle.
    """
    arguments = {"url": url, "cache": name, "codec": "pickle"}
    ours, theirs = (
        make_region().configure("cachegrid", arguments={**arguments, "secret": f"the secret of {who}"})
        for who in ("this process", "somebody else")
    )
    theirs.set("k", {1: object})
    assert [NO_VALUE, {1: object}] == [ours.get("k"), theirs.get("k")]


def test_what_a_region_kept_before_it_had_a_serializer_is_none(url: str, name: str, region: Any) -> None:
    """
    And the other way round.
    """
    arguments = {"url": url, "cache": name}
    texts: Any = make_region(serializer=str.encode, deserializer=bytes.decode).configure(
        "cachegrid", arguments=arguments
    )
    region.set("a", "object")
    texts.set("b", "text")
    assert [NO_VALUE, "text"] == texts.get_multi(["a", "b"])
    assert ["object", NO_VALUE] == region.get_multi(["a", "b"])


@pytest.mark.parametrize("key", ["x" * 5000, "ü" * 700, "lone \ud800", "ü"])
def test_any_text_is_a_key(region: Any, key: str) -> None:
    """
    Long ones, and such that have no UTF-8 form, too.
    """
    region.set_multi({key: 1, key + "!": 2})
    assert [1, 2] == region.get_multi([key, key + "!"])
    region.delete(key)
    assert [NO_VALUE, 2] == [region.get(key), region.get(key + "!")]


def test_who_waits_too_long_for_a_creator_is_told(backend: CacheGridBackend) -> None:
    """
    After the `wait` of the policy.
    """
    first, second = backend.get_mutex("k"), backend.get_mutex("k")
    assert first.acquire()
    with pytest.raises(LockTimeout):
        second.acquire()
    first.release()
    with pytest.raises(LockLost, match="not acquired"):
        second.release()


def test_a_lost_lock_costs_no_value(backend: CacheGridBackend, caplog: pytest.LogCaptureFixture) -> None:
    """
    What was created is there; that it may have been created twice is logged.
    """
    mutex = backend.get_mutex("k")
    lock = backend._cache.lock("k", wait=0)
    lock.acquire()
    lock.release()
    mutex._give_back = lock.release  # type: ignore[attr-defined] # as if its lease had ended
    mutex.release()
    assert "may have been created twice" in caplog.text


def test_a_misspelled_argument_is_an_error() -> None:
    """
    What is like none of ours is for others, as dogpile has it.
    """
    with pytest.raises(ConfigError, match="unknown setting 'tll'; did you mean 'ttl'"):
        CacheGridBackend({"tll": 5})
    CacheGridBackend({"something_else": 5})

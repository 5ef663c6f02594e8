"""The back end of cachelib, and what stands on it: Flask-Caching and the sessions of Flask-Session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import flask
import pytest
from cachelib import BaseCache, SimpleCache
from flask.sessions import SecureCookieSessionInterface
from flask_caching import Cache
from flask_session import Session

from cachegrid.errors import ConfigError, GridNotFound, KeyRefused, NotANumber, ValueRefused
from cachegrid.integrations.cachelib import CacheGridCache
from cachegrid.integrations.flask_caching import CacheGridCache as FlaskCache

pytestmark = pytest.mark.grid
BACKEND = "cachegrid.integrations.flask_caching.CacheGridCache"


@pytest.fixture(params=["pickle", "plain"])
def cache(request: pytest.FixtureRequest, url: str, name: str) -> CacheGridCache:
    """A back end of the test's own."""
    return CacheGridCache(url=url, cache=name, codec=request.param, secret="that only tests know")


def _told(cache: BaseCache) -> list[Any]:
    """What a cache answers to everything that cachelib knows."""
    return [
        cache.get("a"),
        cache.set("a", [1, {"b": None}]),
        cache.add("a", 2),
        cache.add("none", None),
        cache.get("a"),
        cache.has("none"),
        cache.has("gone"),
        cache.set_many({"n": 5, "t": ("x", b"y"), "e": ""}, timeout=60),
        cache.get_many("t", "gone", "n", "none", "e", "t"),
        cache.get_dict("n", "gone"),
        cache.inc("n"),
        cache.dec("n", 3),
        cache.inc("new", 7),
        cache.dec("below"),
        cache.delete("n"),
        cache.delete("n"),
        cache.delete_many("t", "gone"),
        cache.get_many("t", "n", "below", "new"),
        cache.get_many(),
        cache.set_many({}),
        cache.delete_many(),
        cache.clear(),
        cache.get_many("a", "new", "e"),
    ]


def test_it_answers_as_the_simplest_of_them_does(cache: CacheGridCache) -> None:
    """
    Which keeps all in a dict.
    """
    assert _told(SimpleCache()) == _told(cache)


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(None, 300), (0, None), (60, 60), (timedelta(milliseconds=1500), 2), (timedelta(0), None)]
)
@pytest.mark.parametrize(
    "store",
    [
        lambda cache, timeout: cache.set("k", "v", timeout),
        lambda cache, timeout: cache.add("k", "v", timeout=timeout),
        lambda cache, timeout: cache.set_many({"k": "v"}, timeout),
    ],
    ids=["set", "add", "set_many"],
)
def test_timeouts(
    url: str, name: str, store: Callable[[BaseCache, Any], object], timeout: Any, seconds: float | None
) -> None:
    """
    0 is without end, and None is what holds for the cache.
    """
    cache = CacheGridCache(url=url, cache=name)
    store(cache, timeout)
    entry = _entry(cache, "k")
    lives = None if entry.expires is None else round((entry.expires - entry.created).total_seconds(), 1)
    assert seconds == lives


def test_a_count_keeps_its_time(url: str, name: str) -> None:
    """
    What begins with it lives as long as what is set.
    """
    cache = CacheGridCache(default_timeout=60, url=url, cache=name)
    cache.inc("n")
    first = _entry(cache, "n").expires
    cache.inc("n")
    assert abs((_entry(cache, "n").expires - first).total_seconds()) < 0.5


def _entry(cache: CacheGridCache, key: str) -> Any:
    return cache._cache.entry(key)


def test_what_cannot_be_is_refused(cache: CacheGridCache) -> None:
    """
    With names that help.
    """
    cache.set("t", "text")
    with pytest.raises(NotANumber):
        cache.inc("t")
    with pytest.raises(ConfigError, match="ttl is -5"):
        cache.set("t", "other", timeout=-5)
    with pytest.raises(ConfigError, match="default_timeout"):
        CacheGridCache(ttl=60)
    with pytest.raises(ConfigError, match="did you mean 'cache'"):
        CacheGridCache(cach="x")
    with pytest.raises(ConfigError, match="did you mean 'max_entries'"):
        CacheGridCache(MAX_ENTRIES=5)
    with pytest.raises(ConfigError, match="known are"):
        CacheGridCache(prefix_of_keys="x")


def test_what_can_be_no_key_is_refused(cache: CacheGridCache) -> None:
    """
    With what would be one; numbers and tuples are, though cachelib knows text only.
    """
    wrong: Any = ["a"]
    for call in (cache.get, cache.has, cache.delete, cache.inc, cache.get_many, lambda key: cache.set(key, 1)):
        with pytest.raises(KeyRefused, match=r"must be str, bytes, int or a tuple of them; \['a'\] is list"):
            call(wrong)
    key: Any = ("a", 1)
    assert cache.set(key, 5)
    assert 5 == cache.get(key)


def test_flasks_variables_are_those_of_the_back_end(url: str, name: str) -> None:
    """
    What nobody knows is told, and so is what Flask-Caching has a name of its own for.
    """
    app = flask.Flask("shop")
    known = {"CACHE_KEY_PREFIX": name, "CACHE_CACHEGRID_URL": url, "CACHE_CACHEGRID_CONFIG": None}
    cache = FlaskCache.factory(app, {**known, "CACHE_CACHEGRID_CODEC": "json"}, [], {})
    assert ("json", name) == (cache._cache.policy.codec, cache._cache.name)
    for variable, told in (
        ("CACHE_CACHEGRID_ULR", r"unknown setting 'CACHE_CACHEGRID_ULR'; did you mean 'CACHE_CACHEGRID_URL'\?"),
        ("CACHE_CACHEGRID_TTL", "CACHE_CACHEGRID_TTL is 5; it must be said as CACHE_DEFAULT_TIMEOUT"),
    ):
        with pytest.raises(ConfigError, match=told):
            FlaskCache.factory(app, {**known, variable: 5}, [], {})
    with pytest.raises(GridNotFound, match="no grid named 'nowhere'"):
        FlaskCache.factory(app, {"CACHE_KEY_PREFIX": name, "CACHE_CACHEGRID_NAME": "nowhere"}, [], {}).get("a")


def test_a_grid_that_is_connected_may_be_given(url: str, name: str) -> None:
    """
    Then nothing is connected.
    """
    import cachegrid

    with cachegrid.connect(url) as grid:
        cache = CacheGridCache(grid=grid, cache=name)
        cache.set("long " * 500, 1)
        assert 1 == cache.get("long " * 500)
        assert 1 == len(grid.cache(name))
        with pytest.raises(ConfigError, match="the only one of 'grid' and 'url'"):
            CacheGridCache(grid=grid, url=url)
        kwargs = {"grid": grid, "codec": "json"}
        flasks = FlaskCache.factory(flask.Flask("app"), {"CACHE_KEY_PREFIX": f"{name}-json"}, [], kwargs)
        flasks.set("k", [1])
        assert [1] == grid.cache(f"{name}-json")["k"]


def _shop(url: str, prefix: str, **config: Any) -> tuple[flask.Flask, Cache]:
    app = flask.Flask(__name__)
    app.config.update(
        SECRET_KEY="of the shop",
        CACHE_TYPE=BACKEND,
        CACHE_CACHEGRID_URL=url,
        CACHE_KEY_PREFIX=prefix,
        **config,
    )
    return app, Cache(app)


def test_results_are_dropped_for_all_applications(url: str, name: str) -> None:
    """
    What one memoizes the other need not compute, and what one deletes is gone for both.
    """
    calls: list[int] = []

    def square(number: int) -> int:
        calls.append(number)
        return number * number

    apps = [_shop(url, name) for _ in range(2)]
    squares = [cache.memoize()(square) for _, cache in apps]
    for (app, _), memoized in zip(apps, squares, strict=True):
        with app.app_context():
            assert [4, 9] == [memoized(2), memoized(3)]
    assert [2, 3] == calls
    with apps[1][0].app_context():
        apps[1][1].delete_memoized(squares[1], 2)
    with apps[0][0].app_context():
        assert [4, 9] == [squares[0](2), squares[0](3)]
        assert [2, 3, 2] == calls
        apps[0][1].delete_memoized(squares[0])
    with apps[1][0].app_context():
        assert [4, 9] == [squares[1](2), squares[1](3)]
    assert [2, 3, 2, 2, 3] == calls


def test_whole_answers_are_kept(url: str, name: str) -> None:
    """
    Also such that are objects of Flask's own.
    """
    app, cache = _shop(url, name)
    served: list[str] = []

    @app.get("/menu")
    @cache.cached(timeout=60, query_string=True)
    def menu() -> flask.Response:
        served.append(flask.request.query_string.decode())
        return flask.jsonify(day=flask.request.args["day"])

    client = app.test_client()
    days = ["mon", "tue", "mon"]
    assert [{"day": day} for day in days] == [client.get(f"/menu?day={day}").json for day in days]
    assert ["day=mon", "day=tue"] == served
    cache.clear()
    client.get("/menu?day=mon")
    assert 3 == len(served)


def test_a_prefix_is_a_cache_of_its_own(url: str, name: str) -> None:
    """
    To clear one leaves the others alone; options say the rest.
    """
    (_, first), (_, second) = _shop(url, name), _shop(url, name + "-2", CACHE_OPTIONS={"codec": "plain"})
    first.set("k", {1})
    second.set("k", {2})
    first.clear()
    assert [None, {2}] == [first.get("k"), second.get("k")]


def test_who_does_not_know_the_secret_key_feeds_nobody(url: str, name: str) -> None:
    """
    Pickles are signed with a key made of it; where there is none, nothing is pickled.
    """
    ours, theirs, bare = flask.Flask("ours"), flask.Flask("theirs"), flask.Flask("bare")
    ours.secret_key, theirs.secret_key = "of the shop", b"of somebody else"
    config = {"CACHE_KEY_PREFIX": name, "CACHE_CACHEGRID_URL": url}
    kept = [FlaskCache.factory(app, config, [], {}) for app in (ours, theirs)]
    kept[1].set("k", "theirs")
    assert [None, "theirs"] == [it.get("k") for it in kept]
    without = FlaskCache.factory(bare, config, [], {})
    assert without.get("k") is None
    without.set("n", (1, b"2"))
    assert (1, b"2") == without.get("n")
    with pytest.raises(ValueRefused, match="codec='?\"?pickle"):
        without.set("k", flask.Response("page"))


def test_sessions_of_flask_session(url: str, name: str) -> None:
    """
    In its cachelib mode: what one process keeps, another knows.
    """

    def make() -> flask.Flask:
        app = flask.Flask(__name__)
        cache = CacheGridCache(url=url, cache=name)
        app.config.update(SECRET_KEY="of the shop", SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
        Session(app)

        @app.get("/add/<item>")
        def add(item: str) -> dict[str, list[str]]:
            flask.session["basket"] = [*flask.session.get("basket", []), item]
            return {"basket": flask.session["basket"]}

        @app.get("/leave")
        def leave() -> str:
            flask.session.clear()
            return "bye"

        assert not isinstance(app.session_interface, SecureCookieSessionInterface)
        return app

    first, second = make().test_client(), make().test_client()
    first.get("/add/tea")
    cookie = first.get_cookie("session")
    assert cookie is not None
    second.set_cookie("session", cookie.value)
    assert {"basket": ["tea", "milk"]} == second.get("/add/milk").json
    assert {"basket": ["tea", "milk", "jam"]} == first.get("/add/jam").json
    second.get("/leave")
    assert {"basket": ["salt"]} == first.get("/add/salt").json


def test_places_are_found_by_what_is_said(url: str, name: str) -> None:
    """
    Back ends that say the same share a grid, and one that is closed is connected again.
    """
    from cachegrid.integrations import places

    caches = [CacheGridCache(url=url, cache=name) for _ in range(2)]
    caches[0].set("k", "v")
    assert caches[0]._cache is caches[1]._cache
    before = caches[0]._cache
    places.close()
    assert "v" == caches[1].get("k")
    assert before is not caches[1]._cache

"""Settings: where they come from, which of them wins, and what is said of wrong ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cachegrid.config import CachePolicy, NearPolicy, Settings, SettingsSaid, load_settings
from cachegrid.errors import ConfigError

Write = Callable[[str, str], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder inside another, which may have settings as well."""
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    return inner


def load(folder: Path, **said: Any) -> Settings:
    """Settings as they are in a folder, with an empty environment unless one is said."""
    return load_settings(**{"environ": {}, "folder": folder, **said})


def test_nothing_said_is_the_defaults(folder: Path) -> None:
    """
    Without files, environment and arguments.
    """
    assert Settings() == load(folder)
    assert (None, None, "cg", "5s", {}) == (*dataclasses.astuple(Settings())[:4], Settings().caches)


def test_a_file_is_read(folder: Path) -> None:
    """
    With the policies of caches.
    """
    (folder / "cachegrid.toml").write_text(
        """
        url = "valkey://db-1,db-2"
        timeout = "2s"
        [caches.prices]
        ttl = "5m"
        compress = "1kB"
        [caches.users]
        idle = 60
        """
    )
    settings = load(folder)
    assert ("valkey://db-1,db-2", "2s") == (settings.url, settings.timeout)
    assert {"prices": CachePolicy(ttl="5m", compress="1kB"), "users": CachePolicy(idle=60)} == settings.caches


def test_a_file_says_what_writes_wait_for(folder: Path) -> None:
    """
    By a word, a number, or both; what cannot be is told with its key in the file.
    """
    file = folder / "cachegrid.toml"
    file.write_text(
        """
        [caches.orders]
        durability = "replicated"
        [caches.sessions]
        replicas = 2
        [caches.ledger]
        durability = "disk"
        replicas = 1
        """
    )
    waits = {name: policy.waits_for for name, policy in load(folder).caches.items()}
    assert {"orders": (1, False), "sessions": (2, False), "ledger": (1, True)} == waits
    file.write_text('[caches.orders]\ndurability = "safe"\n')
    with pytest.raises(ConfigError, match=r"cachegrid\.toml: caches\.orders\.durability is 'safe'; it must be memory"):
        load(folder)
    assert CachePolicy(durability="replicated").means_the_same_as(CachePolicy(replicas=1))
    assert not CachePolicy(durability="replicated").means_the_same_as(CachePolicy(replicas=2))


def test_the_nearest_file_wins(folder: Path) -> None:
    """
    That of the working folder, else of the nearest folder above it; `cachegrid.toml` before `pyproject.toml`.
    """
    outer = folder.parent
    (outer / "pyproject.toml").write_text('[tool.cachegrid]\nname = "outer-pyproject"\n')
    assert "outer-pyproject" == load(folder).name
    (outer / "cachegrid.toml").write_text('name = "outer"\n')
    assert "outer" == load(folder).name
    (folder / "pyproject.toml").write_text('[tool.other]\nname = "x"\n')
    assert "outer" == load(folder).name
    (folder / "pyproject.toml").write_text('[tool.cachegrid]\nname = "inner-pyproject"\n')
    assert "inner-pyproject" == load(folder).name
    (folder / "cachegrid.toml").write_text('name = "inner"\n')
    assert "inner" == load(folder).name


def test_the_environment_outweighs_a_file_and_an_argument_both(folder: Path) -> None:
    """
    Argument, then environment, then file, then default; each setting by itself.
    """
    (folder / "cachegrid.toml").write_text('url = "memory://file"\nnamespace = "file"\ntimeout = "1s"\n')
    environ = {"CACHEGRID_URL": "memory://environment", "CACHEGRID_NAMESPACE": "environment"}
    settings = load(folder, environ=environ)
    assert ("memory://environment", "environment", "1s") == (settings.url, settings.namespace, settings.timeout)
    settings = load(folder, environ=environ, url="memory://argument")
    assert ("memory://argument", "environment", "1s") == (settings.url, settings.namespace, settings.timeout)


@pytest.mark.parametrize(
    ("file", "environ", "said", "url", "name"),
    [
        ({"url": "u"}, {}, {"name": "n"}, None, "n"),
        ({"name": "n"}, {}, {"url": "u"}, "u", None),
        ({"url": "u"}, {"CACHEGRID_NAME": "n"}, {}, None, "n"),
        ({"name": "n"}, {"CACHEGRID_URL": "u"}, {}, "u", None),
        ({"name": "f"}, {"CACHEGRID_URL": "u"}, {"name": "n"}, None, "n"),
        ({"name": "f", "url": "f"}, {}, {"url": "u"}, "u", None),
        ({"name": "f", "url": "f"}, {}, {}, "f", "f"),
    ],
)
def test_a_name_said_nearer_outweighs_a_url_from_further_away(
    folder: Path, file: dict[str, Any], environ: dict[str, str], said: dict[str, str], url: str | None, name: str | None
) -> None:
    """
    And the other way round: both say which grid is meant. As they come from files, or from ready settings.
    """
    settings = load(folder, config=file, environ=environ, **said)
    assert (url, name) == (settings.url, settings.name)
    if not environ:
        settings = load(folder, config=Settings(**file), **said)
        assert (url, name) == (settings.url, settings.name)


def test_a_file_may_be_named(folder: Path) -> None:
    """
    By an argument or in the environment; then no other is looked for.
    """
    (folder / "cachegrid.toml").write_text('name = "here"\n')
    other = folder.parent / "other.toml"
    other.write_text('namespace = "other"\n')
    for settings in (
        load(folder, config=other),
        load(folder, config=str(other)),
        load(folder, environ={"CACHEGRID_CONFIG": str(other)}),
    ):
        assert (None, "other") == (settings.name, settings.namespace)
    project = folder.parent / "pyproject.toml"
    project.write_text('[build-system]\nrequires = []\n[tool.cachegrid]\nname = "project"\n')
    assert "project" == load(folder, config=project).name


def test_ready_settings_are_taken_as_they_are(folder: Path) -> None:
    """
    Neither a file nor the environment changes them; an argument does.
    """
    (folder / "cachegrid.toml").write_text('name = "here"\n')
    ready = Settings(url="memory://", timeout=1)
    assert ready == load(folder, config=ready, environ={"CACHEGRID_TIMEOUT": "9s"})
    assert Settings(url="memory://x", timeout=1) == load(folder, config=ready, url="memory://x")


def test_every_setting_of_the_environment(folder: Path) -> None:
    """
    What is empty counts as not set, as shells and lists of variables have it.
    """
    names = ("url", "name", "namespace", "timeout", "secret", "ca", "cert", "key", "share_stats")
    said = dict.fromkeys(names, "5s") | {"secret": "hush hush hush hush"}
    environ = {f"CACHEGRID_{name.upper()}": value for name, value in said.items()} | {
        "HOME": "/",
        "CACHEGRID_SERVER": "x",
        "CACHEGRID_TOKEN": "x",  # which `join` reads
    }
    settings = load(folder, environ=environ)
    assert said == {name: getattr(settings, name) for name in names}
    assert Settings() == load(folder, environ=dict.fromkeys([*environ, "CACHEGRID_CONFIG", "CACHEGRID_OTHER"], ""))


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"config": {"urll": "x"}}, r"^config: unknown setting 'urll'; did you mean 'url'\?$"),
        ({"config": {"zzz": "x"}}, r"known are ca, caches, cert, key, name, namespace, secret, share_stats, timeout"),
        ({"config": {"share_stats": "50ms"}}, r"^config: share_stats is '50ms'; it must be \"100ms\" or more"),
        (
            {"config": {"caches": {"prices": {"tll": 5}}}},
            r"^config: caches.prices: unknown setting 'tll'; did you mean 'ttl'\?$",
        ),
        (
            {"environ": {"CACHEGRID_TIMOUT": "5s"}},
            r"^unknown environment variable 'CACHEGRID_TIMOUT'; did you mean 'CACHEGRID_TIMEOUT'\?$",
        ),
        ({"environ": {"CACHEGRID_SERVR": "x"}}, r"did you mean 'CACHEGRID_SERVER'"),
        ({"environ": {"CACHEGRID_url": "x"}}, r"did you mean 'CACHEGRID_URL'"),
        ({"config": {"caches": {"prices": {"TTL": 5}}}}, r"unknown setting 'TTL'; did you mean 'ttl'\?$"),
        (
            {"config": {"caches": {"prices": {"near": {"max_byte": 5}}}}},
            r"^config: caches.prices.near: unknown setting 'max_byte'; did you mean 'max_bytes'\?$",
        ),
        ({"config": {"caches": {"prices": 5}}}, r"^config: caches.prices is 5; it must be a table of settings"),
        ({"config": {"caches": 5}}, r"^config: caches is 5; it must be a table with one table for each cache"),
        ({"config": {"caches": {"a b": {}}}}, r"^config: caches is 'a b'"),
        ({"config": {"caches": {"a": {"ttl": "soon"}}}}, r"^config: caches.a.ttl is 'soon'; it must be a time"),
        ({"config": {"timeout": 0}}, r"^config: timeout is 0; it must be a time of more than 0"),
        ({"config": {"timeout": "5x"}}, r"^config: timeout is '5x'"),
        ({"config": {"url": 5}}, r"^config: url is 5; it must be text"),
        ({"config": {"name": ["a"]}}, r"^config: name is \['a'\]; it must be text"),
        ({"name": "a b"}, r"^name is 'a b'"),
        ({"url": "u", "name": "n"}, r"^name is 'n'; it must be left out where a url is said"),
        ({"config": {"namespace": ""}}, r"^config: namespace is ''"),
        ({"config": {"namespace": "a:b"}}, r"^config: namespace is 'a:b'"),
        ({"config": {"secret": 12345}}, r"^config: secret is '\*\*\*'; it must be text"),
        ({"config": 5}, r"^config is 5; it must be a path, a mapping or Settings"),
        ({"config": "no/such/file.toml"}, r"^config is 'no/such/file.toml'; .*a file that can be read \(No such file"),
        ({"environ": {"CACHEGRID_CONFIG": "no/such.toml"}}, r"^config is 'no/such.toml'; .*a file that can be read"),
    ],
    ids=repr,
)
def test_what_is_wrong_is_told(folder: Path, said: dict[str, Any], match: str) -> None:
    """
    By name, with what was said and what could be; an unknown name with the nearest known one.
    """
    with pytest.raises(ConfigError, match=match) as caught:
        load(folder, **said)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("url = ", r"it must be valid TOML \("),
        ("url = 'a'\nurl = 'b'", r"it must be valid TOML \("),
        ("[caches.a]\nnear = true\n[caches.a.near]\nshare = true", r"\(.*said before; .*use one of the two\)$"),
        ("[caches.a.near]\nshare = true\n[caches.a]\nnear = true", r"\(.*said before; .*use one of the two\)$"),
        ("[caches]\na = {near = true}\n[caches.a.near]\nshare = true", r"\(.*said before; .*use one of the two\)$"),
        ("url = [", r"valid TOML \([^;]*\)$"),
        ("nmae = 'a'", r"cachegrid.toml: unknown setting 'nmae'; did you mean 'name'"),
        ("[caches.a]\ntime = 5", r"cachegrid.toml: caches.a: unknown setting 'time'"),
        ("timeout = true", r"cachegrid.toml: timeout is True; it must be a time"),
        ("[caches.a]\nttl = 'soon'", r"cachegrid.toml: caches.a.ttl is 'soon'; it must be a time"),
        ("caches = 5", r"cachegrid.toml: caches is 5; it must be a table with one table for each cache"),
        ("[caches.'a b']\nttl = 5", r"cachegrid.toml: caches is 'a b'; "),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_path(folder: Path, text: str, match: str) -> None:
    """
    So that nobody looks in the wrong one.
    """
    (folder / "cachegrid.toml").write_text(text)
    with pytest.raises(ConfigError, match=match) as caught:
        load(folder)
    assert str(folder / "cachegrid.toml") in str(caught.value)


def test_a_table_of_another_shape_in_a_pyproject(folder: Path) -> None:
    """
    Is told as well.
    """
    (folder / "pyproject.toml").write_text("[tool]\ncachegrid = 5\n")
    with pytest.raises(ConfigError, match=r"pyproject.toml: tool.cachegrid.settings is 5; it must be a table"):
        load(folder)


def test_what_is_wrong_in_a_pyproject_is_told_with_the_table(folder: Path) -> None:
    """
    As it stands there.
    """
    (folder / "pyproject.toml").write_text("[tool.cachegrid]\ntimeuot = 3\n")
    with pytest.raises(ConfigError, match=r"pyproject.toml: tool.cachegrid: unknown setting 'timeuot'; did you mean"):
        load(folder)
    (folder / "pyproject.toml").write_text("[tool.cachegrid.caches.a]\nttl = 'soon'\n")
    with pytest.raises(ConfigError, match="pyproject.toml: tool.cachegrid.caches.a.ttl is 'soon'; it must be a time"):
        load(folder)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TIMEOUT", "soon"), ("NAME", "a b"), ("NAMESPACE", "a:b"), ("SECRET", "short")],
)
def test_what_is_wrong_in_the_environment_is_told_with_the_variable(folder: Path, variable: str, value: str) -> None:
    """
    The value of a secret excepted.
    """
    shown = r"\*\*\*" if variable == "SECRET" else value
    with pytest.raises(ConfigError, match=f"^CACHEGRID_{variable} is '{shown}'; it must be"):
        load(folder, environ={f"CACHEGRID_{variable}": value})


def test_it_is_known_where_url_and_name_were_said(folder: Path) -> None:
    """
    Since only who opens the grid finds out that they are wrong; an argument needs no place.
    """
    (folder / "cachegrid.toml").write_text('url = "file"\n')
    assert {"url": f"{folder}/cachegrid.toml: url"} == load(folder).places
    environ = {"CACHEGRID_URL": "environment"}
    assert {"url": "CACHEGRID_URL"} == load(folder, environ=environ).places
    assert {"url": "CACHEGRID_URL"} == load(folder, config=load(folder, environ=environ)).places
    assert {} == load(folder, environ=environ, url="argument").places
    assert {} == load(folder, config=load(folder, environ=environ), url="argument").places


def test_every_setting_can_be_an_argument(folder: Path) -> None:
    """
    It outweighs the other places, and None leaves it to them; a file may be named by a path.
    """
    assert "3" == load(folder, environ={"CACHEGRID_TIMEOUT": "3"}).timeout  # seconds, without a unit
    environ = {"CACHEGRID_TIMEOUT": "9s", "CACHEGRID_NAMESPACE": "environment"}
    settings = load(folder, environ=environ, said={"timeout": 2, "namespace": None, "ca": folder / "ca.pem"})
    assert (2, "environment", f"{folder}/ca.pem") == (settings.timeout, settings.namespace, settings.ca)
    assert set(SettingsSaid.__annotations__) | {"url", "name"} == {
        item.name for item in dataclasses.fields(Settings) if item.init
    }
    with pytest.raises(ConfigError, match="^unknown setting 'timout'; did you mean 'timeout'"):
        load(folder, said={"timout": 2})
    with pytest.raises(ConfigError, match="^timeout is 'soon'"):
        load(folder, said={"timeout": "soon"})


def test_the_caches_of_several_places_come_together(folder: Path) -> None:
    """
    Who declares one more cache takes no other's policy away; the same one is taken as the nearest place has it.
    """
    (folder / "cachegrid.toml").write_text("[caches.a]\nttl = 1\n[caches.b]\nttl = 2\nidle = 2\n")
    settings = load(folder, said={"caches": {"b": {"ttl": 3}, "c": CachePolicy(ttl=4)}})
    assert {"a": CachePolicy(ttl=1), "b": CachePolicy(ttl=3), "c": CachePolicy(ttl=4)} == settings.caches


def test_a_policy_shows_what_was_said() -> None:
    """
    So that an error about one can be read.
    """
    assert "CachePolicy()" == repr(CachePolicy())
    assert "CachePolicy(ttl='5m', near=NearPolicy(share=True))" == repr(CachePolicy(ttl="5m", near={"share": True}))


def test_a_password_is_not_shown() -> None:
    """
    Not in the repr of the settings, which tells only what was said.
    """
    shown = repr(Settings(url="valkey://app:hush@h:1", timeout=2))
    assert "Settings(url='valkey://app:***@h:1', timeout=2)" == shown
    assert "Settings()" == repr(Settings())


def test_a_secret_is_not_shown() -> None:
    """
    Neither in the settings' repr, nor in an error.
    """
    assert "hush" not in repr(Settings(secret="hush hush hush hush"))
    assert "hush" not in repr(load_settings(config={"secret": "hush hush hush hush"}, environ={}))


def test_settings_cannot_be_changed() -> None:
    """
    What holds was checked once.
    """
    for frozen, name in ((Settings(), "url"), (CachePolicy(), "ttl")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(frozen, name, "x")


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"ttl": 0}, "^ttl is 0"),
        ({"idle": "x"}, "^idle is 'x'"),
        ({"idle": [5]}, r"^idle is \[5\]"),
        ({"lease": 0}, "^lease is 0"),
        ({"wait": None}, "^wait is None"),
        ({"codec": "msgpack"}, "^codec is 'msgpack'; it must be plain, json, raw or pickle"),
        ({"codec": 5}, "^codec is 5"),
        ({"max_value": "big"}, "^max_value is 'big'"),
        ({"compress": -1}, "^compress is -1"),
        ({"near": "yes"}, "^near is 'yes'; it must be true, false, a table such as .*, or a NearPolicy$"),
        ({"near": {"max_bite": 1}}, "^near: unknown setting 'max_bite'; did you mean 'max_bytes'"),
        ({"near": {"max_bytes": 0}}, '^near.max_bytes is 0; it must be "16KiB" or more'),
        ({"near": {"max_bytes": "16kB"}}, "^near.max_bytes is '16kB'; it must be \"16KiB\" or more"),
        ({"near": {"max_bytes": 1.5}}, '^near.max_bytes is 1.5; it must be a size: bytes, or text such as "64MB"'),
        ({"near": {"max_staleness": 0.0099}}, '^near.max_staleness is 0.0099; it must be "10ms" or more'),
        ({"near": {"max_staleness": None}}, "^near.max_staleness is None; it must be a time: seconds, a timedelta, or"),
        ({"near": {"max_entries": 0}}, "^near.max_entries is 0; it must be a whole number from 1 on"),
        ({"near": {"max_entries": "1000"}}, "^near.max_entries is '1000'; it must be .*, and no text"),
        ({"near": {"max_entries": True}}, "^near.max_entries is True; it must be"),
        ({"near": {"share": 1}}, "^near.share is 1; it must be true or false"),
        ({"near": {"absent": "yes"}}, "^near.absent is 'yes'; it must be true or false"),
    ],
    ids=repr,
)
def test_what_is_wrong_in_a_policy_is_told(said: dict[str, Any], match: str) -> None:
    """
    However the policy is made.
    """
    with pytest.raises(ConfigError, match=match):
        CachePolicy(**said)
    with pytest.raises(ConfigError, match=match):
        CachePolicy().changed(**said)
    with pytest.raises(ConfigError, match=match.replace("^", "^caches.a.")):
        Settings(caches={"a": said})  # type: ignore[dict-item]


def test_a_policy_is_changed_by_name() -> None:
    """
    Settings that were not said stay; an unknown one names the nearest known one.
    """
    policy = CachePolicy(ttl=60, codec="json")
    assert CachePolicy(ttl=None, codec="json") == policy.changed(ttl=None)
    with pytest.raises(ConfigError, match="^unknown setting 'codecs'; did you mean 'codec'"):
        policy.changed(codecs="raw")


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        (True, NearPolicy(max_bytes="256MB", max_staleness="500ms")),
        ({}, NearPolicy(max_bytes="256MB", max_staleness="500ms")),
        ({"share": True}, NearPolicy(max_bytes="256MB", max_staleness="500ms", share=True)),
        ({"max_staleness": "2s"}, NearPolicy(max_bytes="256MB", max_staleness="2s")),
        (NearPolicy(share=True), NearPolicy(share=True)),  # says all that holds
        (False, None),
        (None, None),
    ],
    ids=repr,
)
def test_what_is_said_of_near_copies_changes_only_that(said: Any, holds: NearPolicy | None) -> None:
    """
    True is on, as declared; a table changes what it names; False is off.
    """
    declared = CachePolicy(ttl=60, near={"max_bytes": "256MB", "max_staleness": "500ms"})
    assert CachePolicy(ttl=60, near=holds) == declared.changed(near=said)
    assert declared == declared.changed(ttl=60)
    with pytest.raises(ConfigError, match="^near: unknown setting 'max_bite'; did you mean 'max_bytes'"):
        declared.changed(near={"max_bite": 1})


def test_what_is_not_declared_near_begins_with_the_defaults() -> None:
    """
    Also where it was declared off.
    """
    for policy in (CachePolicy(), CachePolicy(near=False)):
        assert NearPolicy() == policy.changed(near=True).near
        assert NearPolicy(share=True) == policy.changed(near={"share": True}).near


@pytest.mark.parametrize("policy", [{"idle": 60, "near": True}, CachePolicy(idle=60, near={"share": True})], ids=repr)
def test_a_cache_with_an_idle_time_keeps_nothing_near(policy: Any) -> None:
    """
    So it is refused to ask for both.
    """
    match = "^caches.a.near is True; it must be off where the cache has an idle time: .*leave out near or idle"
    with pytest.raises(ConfigError, match=match):
        Settings(caches={"a": policy})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"ttl": 60}, {"ttl": "1m"}, True),
        ({"ttl": 60}, {"ttl": timedelta(minutes=1)}, True),
        ({"idle": "1500ms", "max_value": "1kB"}, {"idle": 1.5, "max_value": 1000}, True),
        ({"lease": 5, "wait": 30, "max_value": 64 << 20}, {}, True),
        ({"ttl": 60}, {"idle": 60}, False),
        ({"compress": None}, {}, False),
        ({"codec": "json"}, {}, False),
        ({"wait": "31s"}, {}, False),
        ({"near": True}, {"near": {"max_bytes": 64 << 20, "max_staleness": "1000ms"}}, True),
        ({"near": True}, {}, False),
        ({"near": True}, {"near": {"share": True}}, False),
    ],
    ids=repr,
)
def test_policies_may_mean_the_same(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:  # noqa: FBT001
    """
    However they are written.
    """
    assert same is CachePolicy(**one).means_the_same_as(CachePolicy(**other))
    assert same is CachePolicy(**other).means_the_same_as(CachePolicy(**one))

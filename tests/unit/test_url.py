"""URLs of Valkey and Redis: what they say, and what is wrong with them, without a word of the password."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target, TlsFiles
from cachegrid.engines.valkey.url import SCHEMES, grid_in, parse, seeds_in, times_in, without_password
from cachegrid.errors import ConfigError

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("place", "seeds"),
    [
        ("h:7001", [("h", 7001)]),
        ("h", [("h", 6379)]),
        ("h:", [("h", 6379)]),
        ("h:7001/", [("h", 7001)]),
        ("10.0.0.1:7001,10.0.0.2:7002,h", [("10.0.0.1", 7001), ("10.0.0.2", 7002), ("h", 6379)]),
        ("[::1]:7001", [("::1", 7001)]),
        ("[::1]", [("::1", 6379)]),
        ("[fe80::1%eth0]:7001", [("fe80::1%eth0", 7001)]),
        ("[::1]:7001,[fd00::2]:7002", [("::1", 7001), ("fd00::2", 7002)]),
        ("h:7001,[fd00::2]:7002", [("h", 7001), ("fd00::2", 7002)]),
        ("user:pass@h:7001", [("h", 7001)]),
        ("member-1.grid_a.example:65535", [("member-1.grid_a.example", 65535)]),
    ],
)
def test_places_are_read(place: str, seeds: list[tuple[str, int]]) -> None:
    """
    One host or several, by name or address, with a port or without.
    """
    assert tuple(Endpoint(*seed) for seed in seeds) == parse(f"valkey://{place}", timeout=5).seeds


@pytest.mark.parametrize(
    ("user", "username", "password"),
    [
        ("", None, None),
        ("app@", "app", None),
        ("app:pass@", "app", "pass"),
        (":pass@", None, "pass"),
        ("app:@", "app", ""),
        ("a%40b:p%40ss%2F%3F%23%25%3A@", "a@b", "p@ss/?#%:"),
        ("app:p:a:s@", "app", "p:a:s"),
        ("app:p@ss@", "app", "p@ss"),  # the last one counts
        ("app:schl%C3%BCssel@", "app", "schlüssel"),
        ("app:100%@", "app", "100%"),  # no escape, and so itself
    ],
)
def test_users_are_read(user: str, username: str | None, password: str | None) -> None:
    """
    A user and a password may hold anything, percent-encoded where it would mean something else.
    """
    target = parse(f"valkey://{user}h:1", timeout=5)
    assert (username, password) == (target.username, target.password)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_user_and_password_can_be_said(username: str, password: str) -> None:
    """
    What is percent-encoded comes out as it was, and is never shown.
    """
    url = f"valkey://{quote(username, safe='')}:{quote(password, safe='')}@h:1"
    target = parse(url, timeout=5)
    assert (username or None, password) == (target.username, target.password)
    assert f"valkey://{quote(username, safe='')}:***@h:1" == without_password(url)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_is_known(scheme: str) -> None:
    """
    A scheme tells whether there is TLS, and whether the place is a socket; its case does not matter.
    """
    is_socket = "unix" in scheme
    url = f"{scheme.upper()}://:pass@{'/run/grid/valkey.sock' if is_socket else 'h:7001'}"
    target = parse(url, timeout=5)
    assert (Endpoint("/run/grid/valkey.sock", 0) if is_socket else Endpoint("h", 7001),) == target.seeds
    assert (scheme in {"valkeys", "rediss"}) == (target.tls is not None)
    assert "pass" == target.password


def test_a_socket_may_have_any_path() -> None:
    """
    The path of a socket is percent-encoded as everything else, and the database is an option.
    """
    target = parse("unix:///run/my%20grid/%40.sock?database=3", timeout=5)
    assert (Endpoint("/run/my grid/@.sock", 0),) == target.seeds
    assert 3 == target.database


def test_options_are_read() -> None:
    """
    What stands behind the question mark wins over the arguments.
    """
    target = parse(
        "valkeys://h/2?timeout=250ms&patience=0.1&ca=%2Fa%20b%2Fca.pem&cert=c.pem&key=k.pem&verify_host=no",
        timeout=5,
        tls=TlsFiles(ca="other.pem"),
    )
    assert (
        Target(
            seeds=(Endpoint("h", 6379),),
            database=2,
            timeout=0.25,
            patience=0.1,
            tls=TlsFiles(ca="/a b/ca.pem", cert="c.pem", key="k.pem", verify_host=False),
        )
        == target
    )


def test_arguments_say_what_the_url_does_not() -> None:
    """
    Without options the arguments count; the system's authorities are trusted where no file is named.
    """
    files = TlsFiles(ca="ca.pem", cert="c.pem", key="k.pem", verify_host=False)
    target = parse("valkeys://h", timeout=7, password="pass", tls=files)
    assert (7, "pass", files) == (target.timeout, target.password, target.tls)
    assert TlsFiles() == parse("valkeys://h", timeout=7).tls
    assert parse("valkey://h", timeout=7, tls=files).tls is None
    assert "other" == parse("valkey://:other@h", timeout=7, password="pass").password


def test_one_answer_is_not_awaited_longer_than_all() -> None:
    """
    The patience with one answer is a part of a call's time.
    """
    assert 1.0 == parse("valkey://h", timeout=5).patience
    assert 0.2 == parse("valkey://h?timeout=200ms", timeout=5).patience
    assert 0.5 == parse("valkey://h?patience=3", timeout=0.5).patience


def test_a_grid_is_named() -> None:
    """
    A URL may name the grid of this host whose password it needs.
    """
    assert "prices" == grid_in("valkey://h:1,[::1]:2?grid=prices")
    assert grid_in("valkey://h:1") is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("valkey://app@h?grid=x", "without a user or a password"),
        (f"valkey://:{SECRET}@h?grid=x", "without a user or a password"),
        ("valkey://h/1?grid=x", "without a database"),
        ("valkey://h?grid=x&database=1", "without a database"),
        ("valkeys://h?grid=x&ca=ca.pem", "without 'ca'"),
        ("valkeys://h?grid=x&cert=c.pem&key=k.pem", "without 'cert'"),
        ("valkeys://h?grid=x&verify_host=no", "without 'verify_host'"),
    ],
)
def test_of_a_grid_nothing_is_said_twice(url: str, words: str) -> None:
    """
    What the files of a grid that is named say, its URL does not: it would not be heeded.
    """
    with pytest.raises(ConfigError, match=words) as caught:
        grid_in(url)
    assert SECRET not in str(caught.value)
    assert "x" == grid_in("valkey://h/0?grid=x&timeout=1")


def test_places_and_tls_are_told_of_any_url() -> None:
    """
    Of a unix socket nobody says whether it is secured.
    """
    assert (True, (Endpoint("h", 1), Endpoint("i", 6379))) == seeds_in("rediss://h:1,i?grid=x")
    assert (False, (Endpoint("h", 6379),)) == seeds_in("valkey://h")
    assert (None, (Endpoint("/run/x.sock", 0),)) == seeds_in("unix:///run/x.sock")


def test_times_are_told_of_any_url() -> None:
    """
    Those that it names, and no others: a grid that is named has the rest of its own.
    """
    assert {"patience": 0.5, "timeout": 2.0} == times_in("valkey://h:1?grid=prices&patience=500ms&timeout=2")
    assert {} == times_in("valkey://h:1?grid=prices")
    with pytest.raises(ConfigError, match="patience"):
        times_in("valkey://h:1?patience=soon")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "begins with"),
        ("h:7001", "begins with"),
        ("http://h:7001", "begins with redis, "),
        ("valkey//h:7001", "begins with"),
        ("valkey://", "host:port"),
        ("valkey://h:7001,", "host:port"),
        ("valkey://,h:7001", "host:port"),
        ("valkey://h:0", "host:port"),
        ("valkey://h:65536", "host:port"),
        ("valkey://h:9999999", "what follows 'h:' is no port, from 1 to 65535"),
        ("valkey://h:-1", "host:port"),
        ("valkey://h:٣", "host:port"),
        ("valkey://h 1:7001", "host:port"),
        ("valkey://h\n:7001", "host:port"),
        ("valkey://::1:7001", "in brackets"),
        ("valkey://[::1", "in brackets"),
        ("valkey://[::1]7001", "in brackets"),
        ("valkey://[h]:7001", "in brackets"),
        ("valkey://h/zero", "'zero'"),
        ("valkey://h/-1", "database number"),
        ("valkey://h/²", "database number"),
        ("valkey://h/0/1", "database number"),
        ("valkey://h?database=", "database number"),
        ("valkey://h,i/1", "a cluster has only database 0"),
        ("valkey://h?tiemout=3", "did you mean 'timeout'"),
        ("valkey://h?x=3", "one of ca, cert"),
        ("valkey://h?timeout=soon", "the option 'timeout' in the url is 'soon'"),
        ("valkey://h?timeout=0", "timeout"),
        ("valkey://h?timeout=nan", "timeout"),
        ("valkey://h?patience=-1", "the option 'patience' in the url is"),
        ("valkeys://h?verify_host=maybe", "verify_host"),
        ("valkey://h?ca=ca.pem", "valkeys://"),
        ("unix://h?verify_host=no", "unix:///"),
        ("unix:///run/x.sock?key=k.pem", "valkeys://"),
        ("unix://run/x.sock", "unix:///"),
        ("unix://", "unix:///"),
        ("valkey+unix://:pass@", "valkey+unix:///"),
    ],
)
def test_what_is_wrong_is_named(url: str, words: str) -> None:
    """
    A URL that cannot be used is a ConfigError that says which part, and how it should be.
    """
    with pytest.raises(ConfigError) as caught:
        parse(url, timeout=5)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://app:{SECRET}@h:7001",
        f"redis:{SECRET}@h:7001",
        f"valkey://app:{SECRET}@",
        f"valkey://app:{SECRET}@h:x",
        f"valkey://app:{SECRET}@h/x",
        f"valkey://app:{SECRET}@h?tiemout=1",
        f"valkey://app:{SECRET}@h?verify_host=1",
        f"valkey://h:7001?password={SECRET}",
        f"valkey://app:{SECRET}",  # the host was forgotten
        f"valkey://:{SECRET}",
        f"valkey://app:1/{SECRET}@h",  # the password was not encoded: 1/hunter2
        f"valkey://app:1?{SECRET}@h",
        f"valkey://app:1#{SECRET}@h",
        f"valkey://app:{SECRET}/1@h:7001",
        f"valkey://app:{SECRET}?1@h:7001",
        f"valkey://app:{SECRET}#1@h:7001",
        f"valkey://app:{SECRET}/1",
        f"valkey://a@b:1/{SECRET}@h:7001",
        f"unix://:{SECRET}@run/x.sock",
        f"unix://:{SECRET}/1@/run/x.sock",
    ],
)
def test_no_error_tells_the_password(url: str) -> None:
    """
    However a URL is wrong, what may be a password in it is not shown.
    """
    with pytest.raises(ConfigError) as caught:
        parse(url, timeout=5)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.got)
    assert SECRET not in str(caught.value.__cause__ or "")


@pytest.mark.parametrize("url", ["valkey://app:1/x@h", "valkey://app:1?x@h", "valkey://app:1#x@h"])
def test_a_password_that_was_not_encoded_is_recognized(url: str) -> None:
    """
    A password with a character that means something else is the likely mistake, and the message says so.
    """
    with pytest.raises(ConfigError, match="%2F for '/'"):
        parse(url, timeout=5)


@pytest.mark.parametrize(
    "url", ["valkey://h:7001,[::1]:7002/0?timeout=1", "unix:///run/x.sock", "valkey://app@h", "valkey://"]
)
def test_what_is_no_secret_is_shown(url: str) -> None:
    """
    A URL without a password is shown as it is.
    """
    assert url == without_password(url)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """
    Whatever stands in a URL, it is read, or a ConfigError tells why not.
    """
    for url in (text, f"valkey://{text}", f"valkeys://{text}@h:1", f"valkey://h:1?{text}", f"unix://{text}"):
        without_password(url)
        try:
            seeds = parse(url, timeout=5).seeds
        except ConfigError:
            continue
        assert all(seed.host and 0 <= seed.port < 65536 for seed in seeds)


def test_a_target_does_not_show_its_password() -> None:
    """
    Its repr is in tracebacks and logs.
    """
    assert "hush" not in repr(parse("valkey://app:hush@h:1", timeout=5))


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer", "ca=, CACHEGRID_CA"),
        ("certificate verify failed: Hostname mismatch, certificate is not valid for 'h'", "verify_host=no"),
        ("the connection was closed", "does it want a certificate (cert=)"),
    ],
)
def test_what_to_do_about_a_certificate_is_told(trouble: str, said: str) -> None:
    """
    By the name of the setting that decides.
    """
    assert said in parse("valkeys://h:1", timeout=5).hint(trouble)

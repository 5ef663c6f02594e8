"""What a join token is as text, and what it opens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cachegrid.cluster.hosts.tokens import KEY, Token, certificate_for
from cachegrid.cluster.plan import MemberTls
from cachegrid.errors import ConfigError, GridError

TOKEN = Token(name="5af3c0d11", password="a-secret-of-32-letters", ca="-----BEGIN CERTIFICATE-----\nMIIB\n")


def test_a_token_is_read_as_it_was_printed() -> None:
    """
    With the line end that a terminal or a file adds, and in one word.
    """
    assert Token.of(f" {TOKEN.text}\n") == TOKEN
    assert re.fullmatch(r"cgjoin1_[\w-]+", TOKEN.text)
    assert TOKEN.password not in repr(TOKEN)


@pytest.mark.parametrize(
    "text", ["", "hello", TOKEN.text[:-9], TOKEN.text[9:], "cgjoin1_e30", "cgjoin1_W10", "cgjoin1_\xe9"]
)
def test_what_is_no_token_is_refused_and_not_repeated(text: str) -> None:
    """
    It may be most of one.
    """
    with pytest.raises(ConfigError) as caught:
        Token.of(text)
    assert "the token is '...'; it must be one that `cachegrid token` has printed, all of it" == str(caught.value)


def test_applications_may_not_read_what_a_token_opens() -> None:
    """
    They are given the keys that begin as the page about access says; the password of the grid is in an invitation.
    """
    page = (Path(__file__).parents[2] / "docs" / "access.md").read_text()
    given = re.findall(r"~(\S+)\*", page)
    assert given
    assert not [prefix for prefix in given if KEY.startswith(prefix)]


def test_tokens_with_tls_are_made_where_the_key_is(tmp_path: Path) -> None:
    """
    Or where somebody has brought what was made there.
    """
    tls = MemberTls(ca=tmp_path / "ca.pem", cert=tmp_path / "here.pem", key=tmp_path / "here.key")
    tls.ca.write_text("authority")
    with pytest.raises(GridError, match=r"has no ca\.key.* `cachegrid tls` was run, or here once 10\.0\.0\.9\.pem"):
        certificate_for("10.0.0.9", tls)
    (tmp_path / "10.0.0.9.pem").write_text("certificate")
    (tmp_path / "10.0.0.9.key").write_text("key")
    assert {"ca": "authority", "cert": "certificate", "key": "key"} == certificate_for("10.0.0.9", tls)
    with pytest.raises(ConfigError, match="^--host"):
        certificate_for(None, tls)

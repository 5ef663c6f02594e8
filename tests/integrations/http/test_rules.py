"""The decisions by themselves: whatever a header says, there is an answer, and it is the careful one."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid.integrations._http.answers import Verdict, Way, Wishes, answer_of, judge, miss_of, way_of, wishes_of
from cachegrid.integrations._http.fields import date_in, directives, joined, least, without
from cachegrid.integrations._http.pages import (
    Offer,
    Page,
    is_for,
    mark_of,
    packed,
    page_from,
    unpacked,
    uri_digest,
)
from cachegrid.integrations._http.terms import Request, Terms, terms_of
from cachegrid.integrations._http.trouble import Trouble

NOW = 1_700_000_000.0
URI = (b"http", b"site", b"/", b"")
texts = st.text(st.characters(max_codepoint=255), max_size=30) | st.sampled_from(["max-age=60", "public", "*", "0"])
names = st.sampled_from(
    ["cache-control", "vary", "age", "date", "expires", "etag", "last-modified", "pragma", "cache-tag", "surrogate-key"]
)
fields = st.lists(st.tuples(names, texts), max_size=6)


def page_of(**said: float) -> Page:
    terms = Terms(NOW, 60, 0, 0, is_strict=False, is_for_all=False, vary=(), tags=())._replace(**said)  # type: ignore[arg-type]
    return Page(200, (), b"body", terms, mark_of(uri_digest(URI), (), Request("GET", URI, {}, is_personal=False)))


@given(
    st.sampled_from(["GET", "HEAD", "POST", "x"]),
    fields,
    fields,
    st.sampled_from([200, 204, 304, 404, 500]),
    st.booleans(),
)
def test_any_fields_have_an_answer(
    method: str,
    asked: list[tuple[str, str]],
    said: list[tuple[str, str]],
    status: int,
    is_personal: bool,  # noqa: FBT001
) -> None:
    """
    What cannot be read forbids, and raises nothing.
    """
    request = Request(method, URI, joined(asked), is_personal)
    assert way_of(request) in Way
    wishes = wishes_of(request.fields)
    terms = terms_of(request, status, said, NOW)
    if isinstance(terms, str):
        assert miss_of(terms)[1].isascii()
        assert 2 == miss_of(terms)[1].count('"')
        return
    assert "GET" == method
    assert terms.made <= NOW < terms.made + terms.ttl
    page = page_from(Offer(status, said, b"body", terms), mark_of(uri_digest(URI), terms.vary, request))
    assert is_for(page, request, uri_digest(URI))
    assert judge(page, wishes, NOW) in Verdict
    assert answer_of(page, request, NOW, is_kept=True).status in {status, 304}
    assert page == unpacked(packed(page))


@given(st.text(string.printable, max_size=40), st.text(string.printable, max_size=40))
def test_a_word_that_forbids_is_seen_wherever_it_stands(before: str, after: str) -> None:
    """
    Whatever stands around it, but for quotes, in which it is a value.
    """
    text = f"{before.replace(chr(34), '')}, private, {after.replace(chr(34), '')}"
    assert "private" in directives(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("a=5", 5), ("a=5, a=3", 3), ("a=", 0), ("a", 0), ("a=1.5", 0), ("a=٣", 0), ("b=1", None)]
)
def test_a_number_is_the_least_that_is_said(text: str, seconds: int | None) -> None:
    """
    And 0 where none is.
    """
    assert seconds == least(directives(text), "a")


@pytest.mark.parametrize("text", ["", "0", "-1", "soon", "Thu, 99 Foo 9999 99:99:99 GMT", None])
def test_what_is_no_date_is_none(text: str | None) -> None:
    """
    And no time long ago.
    """
    assert date_in(text) is None


def test_fields_of_a_connection_are_not_kept() -> None:
    """
    Neither those that are known for that, nor those that the response names.
    """
    said = [("Connection", "close, X-Hop"), ("x-hop", "1"), ("Keep-Alive", "5"), ("Etag", '"a"'), ("Age", "1")]
    assert [("Etag", '"a"')] == without(said, {"age"})


@pytest.mark.parametrize(
    ("age", "said", "wishes", "verdict"),
    [
        (59, {}, Wishes(), Verdict.SERVE),
        (60, {}, Wishes(), Verdict.LOAD),
        (60, {"revalidate": 5}, Wishes(), Verdict.REFRESH),
        (65, {"revalidate": 5}, Wishes(), Verdict.LOAD),
        (60, {"on_error": 5}, Wishes(), Verdict.LOAD),
        (60, {"revalidate": 5}, Wishes(max_stale=0), Verdict.SERVE),
        (60, {"revalidate": 5}, Wishes(min_fresh=1), Verdict.LOAD),
        (61, {"revalidate": 5}, Wishes(max_age=60), Verdict.LOAD),
        (61, {"is_strict": True}, Wishes(max_stale=9), Verdict.LOAD),
        (-5, {}, Wishes(), Verdict.SERVE),
        (0, {}, Wishes(is_new=True), Verdict.LOAD),
    ],
)
def test_an_age_has_a_verdict(age: int, said: dict[str, float], wishes: Wishes, verdict: Verdict) -> None:
    """
    Ages are of one clock or of two: that of another host may be ahead.
    """
    assert verdict is judge(page_of(**said), wishes, NOW + age)


@given(st.lists(st.binary(max_size=3), max_size=4), st.lists(st.binary(max_size=3), max_size=4))
def test_different_uris_are_different(one: list[bytes], other: list[bytes]) -> None:
    """
    No byte passes from a part to the next.
    """
    assert (one == other) is (uri_digest(one) == uri_digest(other))


@pytest.mark.parametrize(
    "value", [None, 1, "page 1", (), ("page 0", 1), ["page 1"], ("page 1", 2), ("page 1", 200, (), b"", (1,), b"")]
)
def test_what_another_version_kept_is_no_page(value: object) -> None:
    """
    It counts as nothing.
    """
    assert unpacked(value) is None


def test_trouble_is_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """
    With how often there was some.
    """
    times = iter([0.0, 0.5, 0.9, 1.0])
    trouble = Trouble(lambda: next(times))
    for number in range(4):
        trouble.note(ValueError(number))
    told = [record.getMessage().partition("grid: ")[2] for record in caplog.records]
    assert ["1; the last one because of ValueError: 0", "3; the last one because of ValueError: 3"] == told

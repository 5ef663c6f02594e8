"""Times and sizes as people write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid._core.units import bytes_of, milliseconds, seconds_of
from cachegrid.errors import ConfigError


@pytest.mark.parametrize(
    ("said", "ms"),
    [
        (1, 1000),
        (0.0001, 1),
        (1.5, 1500),
        ("1ms", 1),
        ("1.5s", 1500),
        ("2m", 120_000),
        ("1h30m", 5_400_000),
        (" 1 h 30 m ", 5_400_000),
        ("7d", 604_800_000),
        ("1w", 604_800_000),
        ("90", 90_000),
        (" 1.5 ", 1500),
        (timedelta(days=1, milliseconds=1), 86_400_001),
        (10_000 * 365 * 86_400 // 2, 157_680_000_000_000),
    ],
)
def test_times(said: Any, ms: int) -> None:
    """
    Seconds, a timedelta or text; whole milliseconds, and never none.
    """
    assert ms == milliseconds("ttl", said)


WRONG: list[Any] = [
    *[
        0,
        -1,
        0.0,
        float("nan"),
        float("inf"),
        -float("inf"),
        10**400,
        1e18,
        True,
        False,
        None,
        b"5s",
        [5],
        {},
        ...,
    ],
    *[
        "",
        "s",
        "5x",
        "5 5s",
        "5s 5",
        "1e3",
        "-5",
        "0",
        "9" * 400,
        "-5s",
        "5s!",
        "1e3s",
        "inf",
        "0s",
        "99999999w",
        timedelta(0),
        timedelta(-1),
        timedelta.max,
    ],
]


@pytest.mark.parametrize("said", WRONG, ids=repr)
def test_what_is_no_time(said: Any) -> None:
    """
    The error names the setting, what was said, and what could be.
    """
    milliseconds("ttl", 1)  # equal to True, which is no time
    for read in (milliseconds, seconds_of):
        with pytest.raises(ConfigError, match=r"^ttl is .*; it must be ") as caught:
            read("ttl", said)
        assert "ttl" == caught.value.name
        assert caught.value.got is said


@pytest.mark.parametrize(("name", "can"), [("ttl", True), ("idle", True), ("lease", False), ("--ttl", False)])
def test_what_can_have_no_end_is_told_how(name: str, can: bool) -> None:  # noqa: FBT001
    """
    Of a timeout or a lease nothing is said of None, which it cannot be.
    """
    for said, hint in ((0, "None means no end; delete drops at once"), ("99999999w", "None means no end")):
        with pytest.raises(ConfigError) as caught:
            seconds_of(name, said)
        assert can == (hint in str(caught.value))
        assert can == ("None" in str(caught.value))


@pytest.mark.parametrize(
    ("said", "size"),
    [
        (0, 0),
        (10, 10),
        ("10", 10),
        ("10b", 10),
        ("2kB", 2000),
        ("2 KiB", 2048),
        ("64MB", 64_000_000),
        ("1.5mib", 1_572_864),
    ],
)
def test_sizes(said: Any, size: int) -> None:
    """
    Bytes, or text with a decimal or a binary unit.
    """
    assert size == bytes_of("max_value", said)


@pytest.mark.parametrize("said", [-1, 1.5, True, None, "", "MB", "5x", "-5MB", "1 2MB", b"5", [5]], ids=repr)
def test_what_is_no_size(said: Any) -> None:
    """
    The error names the setting.
    """
    with pytest.raises(ConfigError, match=r"^max_value is .*; it must be a size"):
        bytes_of("max_value", said)


@given(st.integers(1, 10**14))
def test_every_millisecond_can_be_said(ms: int) -> None:
    """
    As text, and as a timedelta.
    """
    assert ms == milliseconds("ttl", f"{ms}ms") == milliseconds("ttl", timedelta(milliseconds=ms))


@given(st.text(max_size=12))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    """
    And a size or refused.
    """
    for read in (seconds_of, bytes_of):
        try:
            assert 0 <= read("setting", text)
        except ConfigError:
            continue

"""Members get ports on which nobody listens."""

from __future__ import annotations

import os
import random
import socket
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid.cluster import ports
from cachegrid.cluster.ports import free_pairs, is_free, next_pairs, pairs_from, refuse_taken, user_of
from cachegrid.errors import ConfigError, StartFailed


def test_free_ports_are_all_different_and_free() -> None:
    """
    None is given out twice, and every one can be listened at.
    """
    pairs = free_pairs(20, "127.0.0.1")
    flat = [port for pair in pairs for port in pair]
    assert 40 == len(set(flat))
    assert all(is_free("127.0.0.1", port) for port in flat)


def test_taken_ports_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Only what is free is given out; where too little is, the error says where it was looked for.
    """
    monkeypatch.setattr(ports, "LOWEST", 20_000)
    monkeypatch.setattr(ports, "HIGHEST", 32_000)
    monkeypatch.setattr(ports, "is_free", lambda _, port: port % 3000 == 0)
    assert [(21000, 27000), (24000, 30000)] == free_pairs(2, "127.0.0.1", random.Random(1))
    with pytest.raises(StartFailed, match=r"no 6 free ports from 20000 to 31999"):
        free_pairs(3, "127.0.0.1")


def test_ports_that_are_meant_for_others_are_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    They may be free still; and where none is asked for, none is looked for.
    """
    monkeypatch.setattr(ports, "LOWEST", 20_000)
    monkeypatch.setattr(ports, "HIGHEST", 32_000)
    monkeypatch.setattr(ports, "is_free", lambda _, port: port % 3000 == 0)
    assert [(24000, 30000)] == free_pairs(1, "127.0.0.1", but=[21000, 27000])
    assert [] == free_pairs(0, "127.0.0.1")


@given(st.integers(1, 65000), st.integers(1, 100))
def test_a_bus_is_always_a_port(base: int, count: int) -> None:
    """
    Ten thousand above the client's, where that is a port, and right behind them where not.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ports, "is_free", lambda *_: True)
        pairs = pairs_from(base, count, "127.0.0.1")
    flat = [port for pair in pairs for port in pair]
    assert 2 * count == len(set(flat))
    assert [base + index for index in range(count)] == [port for port, _ in pairs]
    assert max(flat) <= 65535


@pytest.mark.parametrize("base", [0, -1, 65530, 70000])
def test_a_base_without_room_is_refused(base: int) -> None:
    """
    The error says up to where there is room.
    """
    with pytest.raises(ConfigError, match=r"port is .* 1 to 65528, for 4 members"):
        pairs_from(base, 4, "127.0.0.1")


@pytest.mark.skipif(sys.platform != "linux", reason="who listens can be told on Linux only")
def test_who_listens_is_named() -> None:
    """
    By program and process, where the system lets us see.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert user_of(port).endswith(f"(process {os.getpid()})")
        with pytest.raises(StartFailed, match=f"port {port} on 127.0.0.1 is in use by"):
            refuse_taken([("127.0.0.1", port)])
    assert "" == user_of(port)


def test_old_connections_do_not_take_a_port() -> None:
    """
    A member that is started again finds its port free although its clients' connections have not all died.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = listener.accept()
    accepted.close()
    assert is_free("127.0.0.1", port)
    client.close()


def test_more_ports_follow_those_in_a_row() -> None:
    """
    While they are free; else any free ones are taken, and none twice.
    """
    row = [(first, first + 10_000) for (first, _) in [free_pairs(1, "127.0.0.1")[0]]]
    row.append((row[0][0] + 1, row[0][1] + 1))
    following = [(row[1][0] + 1, row[1][1] + 1)]
    if all(is_free("127.0.0.1", port) for port in following[0]):
        assert following == next_pairs(row, 1, "127.0.0.1")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_free("127.0.0.1", following[0][0]):
            taken.bind(("127.0.0.1", following[0][0]))
            taken.listen()
        assert following != next_pairs(row, 1, "127.0.0.1")
    elsewhere = next_pairs([(row[0][0], row[0][1]), (row[0][0] + 7, row[0][1] + 7)], 3, "127.0.0.1")
    flat = [port for pair in elsewhere for port in pair]
    assert 6 == len({*flat} - {row[0][0], row[0][0] + 7})

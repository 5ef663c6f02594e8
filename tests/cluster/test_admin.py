"""The small connection by which members are asked and told maps what can go wrong to errors of ours."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cachegrid.cluster.admin import Loading, connect_to
from cachegrid.cluster.plan import MemberTls, Shape
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.errors import AccessDenied, EngineTimeout, ServerRefused, Unreachable

Serve = Callable[[list[bytes]], GridState]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve one connection: one answer for each thing that is received; then it is closed, or left open after b''."""
    threads: list[threading.Thread] = []
    done = threading.Event()

    def begin(answers: list[bytes]) -> GridState:
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            with listener, listener.accept()[0] as peer:
                for answer in answers:
                    peer.recv(1000)
                    peer.sendall(answer)
                if answers[-1:] == [b""]:
                    done.wait(10)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return state_at(listener.getsockname()[1])

    yield begin
    done.set()
    for thread in threads:
        thread.join(timeout=10)


def state_at(port: int) -> GridState:
    """A grid of one member at a port."""
    member = MemberState(
        index=0, id="a" * 40, host="127.0.0.1", port=port, bus_port=1, role="owner", folder=Path("/nowhere")
    )
    return GridState(
        name="fake",
        folder=Path("/nowhere"),
        shape=Shape(owners=1, replicas=0),
        members=(member,),
        password="pw",
        secret=b"",
        server=Path("/bin/server"),
        version="Valkey 9.1.2",
        created=0,
        machine="here",
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"-ERR unknown command\r\n", ServerRefused),
        (b"-NOPERM no\r\n", AccessDenied),
        (b"-LOADING Valkey is loading the dataset in memory\r\n", Loading),
        (b"?what\r\n", Unreachable),
        (b"$5\r\nhal", Unreachable),
        (b"", EngineTimeout),
    ],
)
def test_bad_answers_are_errors_of_ours(serve: Serve, answer: bytes, expected: type[Exception]) -> None:
    """
    Whatever a member says or does not say, the error names it.
    """
    state = serve([b"+OK\r\n", answer])
    with connect_to(state, state.members[0], timeout=0.2) as admin, pytest.raises(expected) as caught:
        admin.run("PING")
    assert state.members[0].address in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(b"-WRONGPASS invalid\r\n", AccessDenied), (b"-ERR AUTH called without any password\r\n", ServerRefused)],
)
def test_a_stranger_on_the_port_is_not_taken_for_a_member(
    serve: Serve, answer: bytes, expected: type[Exception]
) -> None:
    """
    Only a member of this grid takes its password.
    """
    state = serve([answer])
    with pytest.raises(expected):
        connect_to(state, state.members[0])


def test_answers_may_come_in_pieces(serve: Serve) -> None:
    """
    They are put together, and facts are told apart from headings.
    """
    state = serve([b"+OK\r\n", b"$39\r\n# Server\r\nvalkey_version:9.1.2\r\n\r\nx:a:b\r\n"])
    with connect_to(state, state.members[0]) as admin:
        assert {"valkey_version": "9.1.2", "x": "a:b"} == admin.facts("server")


def test_nobody_there_is_unreachable() -> None:
    """
    A port where nobody listens is told at once.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    state = state_at(port)
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} cannot be reached"):
        connect_to(state, state.members[0])


def test_files_that_are_no_certificates_are_told(serve: Serve, tmp_path: Path) -> None:
    """
    As for every way in which a member cannot be reached.
    """
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    state = serve([b""])
    with pytest.raises(Unreachable):
        connect_to(replace(state, tls=MemberTls(ca=bad, cert=bad, key=bad)), state.members[0])

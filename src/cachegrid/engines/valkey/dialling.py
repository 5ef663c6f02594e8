"""A connected socket, for whoever waits on it in a thread."""

from __future__ import annotations

import socket
import ssl
import struct

from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target

__all__ = ["dial", "wait_at_most"]


def dial(endpoint: Endpoint, target: Target, seconds: float) -> socket.socket:
    """
    A connected socket: blocking with the kernel's time-outs, or with Python's where TLS needs them.

    A member of this host is reached through its unix socket, if that is there: the way is shorter, and needs no TLS.
    """
    if endpoint in target.sockets:
        try:
            return _connected(target.sockets[endpoint], None, seconds)
        except (TimeoutError, BlockingIOError):  # it is there, and silent
            raise
        except OSError:  # it has none, or is dead: its port tells
            pass
    return _connected(endpoint if endpoint.port else endpoint.host, target.context, seconds, name=endpoint.host)


def _connected(
    place: Endpoint | str, tls: ssl.SSLContext | None, seconds: float, *, name: str | None = None
) -> socket.socket:
    """At an address, or at the path of a unix socket."""
    if isinstance(place, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        sock = socket.create_connection(place, timeout=seconds)
    try:
        if isinstance(place, str):
            sock.settimeout(seconds)
            sock.connect(place)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if tls is not None:
            return tls.wrap_socket(sock, server_hostname=name)
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


def wait_at_most(sock: socket.socket, seconds: float, *, receive: float | None = None) -> None:
    """Set how long a socket that was dialled waits to send, and to receive; with TLS there is one time for both."""
    if sock.gettimeout() is not None:
        sock.settimeout(seconds)
        return
    # The kernel's own time-outs: Python's would cost a poll() before each send and receive.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _interval(seconds))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _interval(seconds if receive is None else receive))


def _interval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))

"""A connected socket, for whoever waits on it in a thread."""

from __future__ import annotations

import socket
import struct

from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.target import Target

__all__ = ["dial", "wait_at_most"]


def dial(endpoint: Endpoint, target: Target, seconds: float) -> socket.socket:
    """A connected socket: blocking with the kernel's time-outs, or with Python's where TLS needs them."""
    if endpoint.port:
        sock = socket.create_connection(endpoint, timeout=seconds)
    else:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if endpoint.port:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        else:
            sock.settimeout(seconds)
            sock.connect(endpoint.host)
        if target.context is not None:
            return target.context.wrap_socket(sock, server_hostname=endpoint.host)
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

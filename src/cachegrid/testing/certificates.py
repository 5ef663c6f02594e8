"""Certificates for tests of TLS: an authority of their own, and what it signs for members on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cachegrid.cluster.hosts.certificates import authority, certify
from cachegrid.cluster.plan import MemberTls

__all__ = ["make_certificates"]

DAYS = 2


def make_certificates(
    folder: Path, *, addresses: Sequence[str] = ("127.0.0.1",), names: Sequence[str] = ("localhost",)
) -> MemberTls:
    """
    Make an authority and one certificate, good for servers and clients, as PEM files in `folder`.

    Needs the `cryptography` package. The certificate names the IP addresses and host names given; it ends after 2 days.
    """
    authority(folder)
    return certify(folder, *addresses, names=names, days=DAYS)

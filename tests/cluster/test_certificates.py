"""Certificates for hosts: good for the addresses that they name, of their own authority, and for nobody else's."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from cachegrid.cluster.hosts.certificates import authority, certify, files_in
from cachegrid.cluster.plan import MemberTls
from cachegrid.errors import ConfigError


def shake_hands(server: MemberTls, ca: Path, address: str) -> None:
    """Let a client that trusts `ca` connect to a server at that address, without a network."""
    there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.load_cert_chain(server.cert, server.key)
    client = ssl.create_default_context(cafile=str(ca)).wrap_bio(here, there, server_hostname=address)
    answering = accepting.wrap_bio(there, here, server_side=True)
    sides = [client, answering]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                pass


def test_a_host_is_known_by_its_address_and_no_other(tmp_path: Path) -> None:
    """
    Of both kinds; and it is not known to who trusts another authority.
    """
    assert authority(tmp_path / "ours")
    assert authority(tmp_path / "others")
    for address in ("10.0.0.7", "fd00::7"):
        files = certify(tmp_path / "ours", address)
        assert files == files_in(tmp_path / "ours", address)
        shake_hands(files, files.ca, address)
        with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
            shake_hands(files, files.ca, "10.0.0.8")
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer|self-signed"):
            shake_hands(files, tmp_path / "others" / "ca.pem", address)


def test_the_authority_stays_and_a_hosts_certificate_is_renewed(tmp_path: Path) -> None:
    """
    Keys are for their owner's eyes alone.
    """
    authority(tmp_path)
    before = (tmp_path / "ca.pem").read_text()
    first = certify(tmp_path, "10.0.0.7").cert.read_text()
    assert not authority(tmp_path)
    assert before == (tmp_path / "ca.pem").read_text()
    files = certify(tmp_path, "10.0.0.7")
    assert first != files.cert.read_text()
    shake_hands(files, files.ca, "10.0.0.7")
    assert {0o600} == {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}


def test_what_cannot_be_certified_is_told(tmp_path: Path) -> None:
    """
    A host name, and a folder without the authority's key.
    """
    authority(tmp_path)
    with pytest.raises(ConfigError, match=r"ADDRESS is 'db\.example'; it must be the IP address of a host"):
        certify(tmp_path, "db.example")
    (tmp_path / "ca.key").unlink()
    with pytest.raises(ConfigError, match=r"DIR is .*; it must be a folder with an authority's ca\.pem and ca\.key"):
        certify(tmp_path, "10.0.0.7")

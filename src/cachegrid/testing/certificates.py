"""Certificates for tests of TLS: an authority of their own, and what it signs for members on loopback."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cachegrid.cluster.plan import MemberTls

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = ["make_certificates"]

LIFETIME = dt.timedelta(days=2)
BEFORE = dt.timedelta(hours=1)  # clocks of two hosts differ


def make_certificates(
    folder: Path, *, addresses: Sequence[str] = ("127.0.0.1",), names: Sequence[str] = ("localhost",)
) -> MemberTls:
    """
    Make an authority and one certificate, good for servers and clients, as PEM files in `folder`.

    Needs the `cryptography` package. The certificate names the IP addresses and host names given; all end after 2 days.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = MemberTls(ca=folder / "ca.pem", cert=folder / "member.pem", key=folder / "member.key")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, name = _named("cachegrid test authority"), _named("cachegrid test member")
    authority = _builder(ca_name, ca_name, ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    known_as: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    known_as += [x509.DNSName(host) for host in names]
    member = _builder(name, ca_name, key).add_extension(x509.SubjectAlternativeName(known_as), critical=False)
    _write_certificate(files.ca, authority, ca_key, ca_key)
    _write_certificate(files.cert, member, ca_key, key)
    _write_key(files.key, key)
    return files


def _named(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    from cryptography import x509

    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _write_certificate(
    path: Path, builder: x509.CertificateBuilder, signer: EllipticCurvePrivateKey, key: EllipticCurvePrivateKey
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    is_authority = signer is key
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(usage, critical=True).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
    )
    path.write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _write_key(path: Path, key: EllipticCurvePrivateKey) -> None:
    from cryptography.hazmat.primitives import serialization

    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )

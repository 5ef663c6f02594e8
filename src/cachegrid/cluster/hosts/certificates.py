"""Certificates for the hosts of a grid: an authority of its own, and what it signs for each host."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachegrid.cluster.plan import MemberTls
from cachegrid.cluster.state import write_atomically
from cachegrid.errors import ConfigError, Unsupported

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = ["LOOPBACKS", "authority", "certify", "files_in"]

DAYS = 825  # of a host's certificate
AUTHORITY_DAYS = 3650
BEFORE = dt.timedelta(hours=1)  # clocks of two hosts differ
LOOPBACKS = ("127.0.0.1", "::1")  # programs on the host itself may reach it so
CA, CA_KEY = "ca.pem", "ca.key"
ADVICE = "pip install 'cachegrid[tls-tools]'"


def files_in(folder: Path, address: str) -> MemberTls:
    """The files of a host in a folder of certificates, there or not."""
    stem = address.replace(":", "_")  # of IPv6: not all file systems have it in names
    return MemberTls(ca=folder / CA, cert=folder / f"{stem}.pem", key=folder / f"{stem}.key")


def authority(folder: Path) -> bool:
    """
    Make an authority in a folder, in `ca.pem` and `ca.key`; False if one was there, which stays.

    Whoever has the key can make certificates that the grid's hosts and programs trust. Raises Unsupported without the
    package `cryptography`.
    """
    ec = _curves()
    if (folder / CA).exists():
        return False
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    write_atomically(folder / CA_KEY, _key_text(key), durable=True)
    write_atomically(folder / CA, _signed(key, AUTHORITY_DAYS), durable=True)
    return True


def certify(folder: Path, *addresses: str, names: Sequence[str] = (), days: int = DAYS) -> MemberTls:
    """
    Make a certificate for the host of these IP addresses and host names, signed by the folder's authority.

    Its files are named for the first address; others of that name are replaced. Raises ConfigError for an address that
    is none, and where the authority's key is not in the folder; Unsupported without the package `cryptography`.
    """
    for address in addresses:
        _check_address(address)
    files = files_in(folder, addresses[0])
    from_key, ca = _authority_in(folder)
    key = _curves().generate_private_key(_curves().SECP256R1())
    text = _certified(ca, from_key, key, addresses=addresses, names=names, days=days)
    write_atomically(files.key, _key_text(key), durable=True)
    write_atomically(files.cert, text, durable=True)
    return files


def _certified(
    ca: x509.Certificate,
    signer: EllipticCurvePrivateKey,
    key: EllipticCurvePrivateKey,
    *,
    addresses: Sequence[str],
    names: Sequence[str],
    days: int,
) -> str:
    """A certificate as PEM text, good for servers and clients, that names these IP addresses and host names."""
    from cryptography import x509

    known_as: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    known_as += [x509.DNSName(name) for name in names]
    builder = _builder(_named(f"cachegrid member {addresses[0]}"), ca.subject, key, days)
    builder = builder.add_extension(x509.SubjectAlternativeName(known_as), critical=False)
    return _pem(_with_usage(builder, signer, is_authority=False), signer)


def _check_address(address: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise ConfigError("ADDRESS", address, "the IP address of a host") from None


def _authority_in(folder: Path) -> tuple[Any, x509.Certificate]:
    _curves()
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), None)
        return key, x509.load_pem_x509_certificate((folder / CA).read_bytes())
    except (OSError, ValueError) as error:
        want = f"a folder with an authority's {CA} and {CA_KEY}, as `cachegrid tls` makes it ({error})"
        raise ConfigError("DIR", str(folder), want) from error


def _curves() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ec
    except ModuleNotFoundError as error:
        raise Unsupported(f"certificates are made with the package cryptography: {ADVICE}") from error
    return ec


def _signed(key: EllipticCurvePrivateKey, days: int) -> str:
    """The certificate of an authority, by itself."""
    from cryptography import x509

    name = _named("cachegrid authority")
    builder = _builder(name, name, key, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return _pem(_with_usage(builder, key, is_authority=True), key)


def _named(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    from cryptography import x509

    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _with_usage(
    builder: x509.CertificateBuilder, signer: EllipticCurvePrivateKey, *, is_authority: bool
) -> x509.CertificateBuilder:
    from cryptography import x509

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
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return builder.add_extension(usage, critical=True).add_extension(by, critical=False)


def _pem(builder: x509.CertificateBuilder, signer: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import hashes, serialization

    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _key_text(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    text: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text.decode()

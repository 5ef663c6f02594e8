"""How members are reached: what a URL and the settings say about connections."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from libvalkey import ReplyError

from cachegrid.engines.valkey.commands import BELL_PREFIX, EPOCH_PREFIX, pack
from cachegrid.engines.valkey.slots import Endpoint
from cachegrid.engines.valkey.trouble import LinkError, refusal
from cachegrid.errors import AccessDenied, ConfigError, Unsupported

__all__ = ["OLDEST", "Hello", "Target", "TlsFiles", "foreign", "read_greeting"]

OLDEST = 7  # the first version that keeps script effects, RESP3 and GETEX as we need them


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Files in PEM form; without `ca` the system's authorities are trusted."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    verify_host: bool = True

    def context(self) -> ssl.SSLContext:
        """A client's context. Raises ConfigError, naming the file, when one cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:
            raise ConfigError("ca", self.ca, f"a PEM file with the certificates of authorities ({error})") from error
        context.check_hostname = self.verify_host
        if self.cert is None:
            return context
        for name, path in (("cert", self.cert), ("key", self.key)):
            _check_readable(name, path)
        try:
            context.load_cert_chain(self.cert, self.key)
        except OSError as error:
            both = "cert and key" if self.key else "cert"
            named = f"{self.cert}, {self.key}" if self.key else self.cert
            want = f"PEM files with a certificate and its private key, that belong together ({error})"
            raise ConfigError(both, named, want) from error
        return context


def _check_readable(name: str, path: str | None) -> None:
    try:
        if path is not None:
            Path(path).open("rb").close()  # of two files, the ssl module does not say which
    except OSError as error:
        raise ConfigError(name, path, f"a PEM file that can be read ({error.strerror})") from error


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where to begin, and what to say to each member on connecting. Times are in seconds."""

    seeds: tuple[Endpoint, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    tls: TlsFiles | None = None
    timeout: float = 5.0  # the deadline of a call, all its retries included
    patience: float = 1.0  # for one answer, or one connection, before another way is tried
    connections: int = 64  # to one member that threads may have at a time; in async code there is one
    waiting: int = 10_000  # requests of tasks that one member may owe an answer to
    # Of members of this host, the paths of unix sockets that they listen at, too.
    sockets: Mapping[Endpoint, str] = field(default_factory=dict, hash=False, repr=False)

    @property
    def moment(self) -> float:
        """Seconds without a word from an owner after which a replica is asked, where that will do."""
        return max(self.patience / 10, min(0.05, self.patience / 2))

    @cached_property
    def context(self) -> ssl.SSLContext | None:
        """The TLS context, made once; None without TLS."""
        return self.tls.context() if self.tls else None

    def hint(self, trouble: str) -> str:
        """What else to ask oneself when this was met on the first connection."""
        if self.tls and "certificate verify failed" in trouble:
            if "mismatch" in trouble:
                return ", is that its name in its certificate (verify_host=no in the URL does not ask)"
            return ", who signed its certificate (that authority's file goes into ca=, CACHEGRID_CA or the URL)"
        if self.tls:
            return ", does it speak TLS" if self.tls.cert else ", does it speak TLS, does it want a certificate (cert=)"
        return ", does it ask for TLS (valkeys://)" if "closed" in trouble or "reset" in trouble else ""

    def greeting(self, *, readonly: bool) -> tuple[bytes, int]:
        """What is sent first on a connection, and how many answers it has; the first one is to HELLO."""
        hello = [b"HELLO", b"3"]
        if self.password is not None or self.username:  # a user may need no password
            hello += [b"AUTH", (self.username or "default").encode(), (self.password or "").encode()]
        heard = [b"PREFIX", BELL_PREFIX, b"PREFIX", EPOCH_PREFIX]
        words = [hello, [b"CLIENT", b"TRACKING", b"ON", b"BCAST", *heard]]
        if self.database:
            words.append([b"SELECT", b"%d" % self.database])
        if readonly:
            words.append([b"READONLY"])
        return b"".join(pack(*line) for line in words), len(words)


@dataclass(frozen=True, slots=True)
class Hello:
    """What a member says of itself on connecting."""

    server: str
    version: str
    clustered: bool


def read_greeting(replies: list[object], asked: Endpoint) -> Hello:
    """
    What the answers to the greeting tell.

    Raises AccessDenied, Unsupported or ServerRefused where the member will not serve, and LinkError where
    it cannot at the moment.
    """
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise _unwelcome(reply, asked)
        if isinstance(reply, LinkError):  # before all the answers came
            raise LinkError(asked, reply.reason, sent=False, waited=reply.waited)
    match replies[0]:
        case {b"server": bytes(server), b"version": bytes(version), b"mode": bytes(mode)}:
            _check_version(server, version, asked)
            return Hello(server.decode(), version.decode(), mode == b"cluster")
        case other:
            raise Unsupported(f"{asked} greets like no Valkey or Redis: {other!r}", where=str(asked))


def foreign(asked: Endpoint) -> Unsupported:
    """The error to raise for what talks otherwise."""
    return Unsupported(
        f"{asked} does not speak the Valkey protocol; is it the right port, and without TLS? (with TLS: valkeys://)",
        where=str(asked),
    )


def _unwelcome(reply: ReplyError, asked: Endpoint) -> Exception:
    text = str(reply)
    if "max number of clients" in text:
        return LinkError(asked, text, sent=False)
    if text.startswith("DENIED"):
        return AccessDenied(
            f"{asked} is in protected mode and talks only to its own host; set a password there, "
            "and put it into the URL",
            where=str(asked),
        )
    return refusal(reply, asked)


def _check_version(server: bytes, version: bytes, asked: Endpoint) -> None:
    major = int(version.partition(b".")[0]) if version[:1].isdigit() else 0
    if major < OLDEST:
        raise Unsupported(
            f"{asked} runs {server.decode()} {version.decode()}, which is too old; "
            f"use Valkey, or Redis {OLDEST}.0 or newer",
            where=str(asked),
        )

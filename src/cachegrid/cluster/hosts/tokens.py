"""What lets another host join: a token that ends by itself, and what the grid tells whoever shows it."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Final, Self

from cachegrid.cluster.admin import Admin, NotOwner, connect_to
from cachegrid.cluster.agreement import rows_seen
from cachegrid.cluster.files import shared_settings
from cachegrid.cluster.hosts.certificates import CA_KEY, LOOPBACKS, certify, files_in
from cachegrid.cluster.plan import MemberTls
from cachegrid.cluster.presence import find
from cachegrid.cluster.state import GridState, MemberState, option_of
from cachegrid.engines.valkey.slots import Endpoint, slot_of
from cachegrid.errors import (
    AccessDenied,
    ConfigError,
    EngineError,
    EngineTimeout,
    GridError,
    GridNotFound,
    ServerRefused,
    Unreachable,
)

__all__ = ["Invitation", "Token", "accept", "certificate_for", "invite", "issue"]

MARK = "cgjoin1_"  # what a token is known by, and its form
USER = "cachegrid-join-"
KEY = "cachegrid!join:"  # under no prefix that applications are given: they may read all that begins with theirs
KEPT = 16  # of the largest range of an owner, the first one of so many parts
PATIENCE = 5.0  # seconds for each answer of a member far away
AGAIN = "`cachegrid token` on that host makes another"
WRONG_KIND = "WRONGTYPE"
FIELD = "invitation"

# ARGV: the name of the field, the invitation, and its ms. It has to end at the server, yet full members evict keys that
# have an end. Fields with one they leave alone; servers that know none (Redis before 7.4, Valkey before 9) get a key.
WRITE: Final = """#!lua flags=allow-oom
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local answer = redis.pcall('HPEXPIRE', KEYS[1], ARGV[3], 'FIELDS', 1, ARGV[1])
if answer.err then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is carried to the other host: with whom to speak, and a password for one thing, which is gone in a while."""

    name: str  # of its user and key, at the member that it is of
    password: str = field(repr=False)
    ca: str = ""  # PEM, so that the joining host is not deceived by who else may answer; empty without TLS

    @property
    def text(self) -> str:
        """As it is shown and read."""
        return MARK + base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode().rstrip("=")

    @classmethod
    def of(cls, text: str) -> Self:
        """The token that was printed so. Raises ConfigError for anything else, which is not repeated."""
        body = text.strip().removeprefix(MARK)
        try:
            facts = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            return cls(name=str(facts["name"]), password=str(facts["password"]), ca=str(facts["ca"]))
        except (ValueError, KeyError, TypeError):
            raise ConfigError("the token", "...", "one that `cachegrid token` has printed, all of it") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What a host has to know of a grid to be part of it."""

    grid: str
    password: str = field(repr=False)
    secret: str = field(repr=False)  # hex
    version: str  # of the server program, such as "Valkey 9.1.2"
    persist: bool
    fsync: str
    when_full: str
    settings: Mapping[str, str]  # lines that all members have
    host: str  # the one that it is for; empty: any
    members: tuple[str, ...]  # addresses
    tls: Mapping[str, str] | None = field(default=None, repr=False)  # what is in the files of `MemberTls`

    @classmethod
    def of(cls, state: GridState, host: str, tls: Mapping[str, str] | None) -> Self:
        """That of a grid, for the host of that address, with those files; for any without."""
        return cls(
            grid=state.name,
            password=state.password,
            secret=state.secret.hex(),
            version=state.version,
            persist=state.persist,
            fsync=state.shape.fsync,
            when_full=state.shape.when_full,
            settings=shared_settings(state.members[0].conf.read_text()),
            host=host,
            members=(*(member.address for member in state.members), *state.peers),
            tls=tls,
        )


def issue(
    name: str = "default", *, host: str | None = None, ends: float = 3600.0, root: Path | None = None
) -> tuple[str, str]:
    """
    The address of a member of this host, and a token that is good there for `ends` seconds, as text.

    With TLS it is for the one `host` of that address, and gives it a certificate: that in the folder of this host's
    own, else one that is made with the authority's key there. Raises GridNotFound, GridError for a grid that no other
    host can reach, ConfigError where there is no certificate, or an EngineError.
    """
    state = find(name, root=root)
    if state is None:
        raise GridNotFound(
            f"no grid {name!r} runs on this host; start it with: cachegrid up --host ADDRESS{option_of(name)}"
        )
    if not state.spread:
        raise GridError(
            f"grid {name!r} is reached from this host alone: one that others can join is started anew with "
            f"`cachegrid up --host ADDRESS{option_of(name)}`; a backup brings the entries there"
        )
    owner, token = invite(
        state, host=host or "", ends=ends, tls=certificate_for(host, state.tls) if state.tls else None
    )
    return owner.address, token.text


def certificate_for(host: str | None, tls: MemberTls) -> dict[str, str]:
    """What is in another host's files, which are made where there are none. Raises ConfigError and GridError."""
    if host is None:
        raise ConfigError.unsaid("--host", "with TLS a token is for one host, by the address in its certificate")
    folder = tls.ca.parent
    files = files_in(folder, host)
    if not files.cert.exists() or not files.key.exists():
        if not (folder / CA_KEY).exists():
            raise GridError(
                f"{folder} has no {CA_KEY}, which makes certificates for other hosts: tokens are made on the host "
                f"where `cachegrid tls` was run, or here once {files.cert.name} and {files.key.name} are there"
            )
        files = certify(folder, host, *LOOPBACKS, names=["localhost"])
    return {"ca": tls.ca.read_text(), "cert": files.cert.read_text(), "key": files.key.read_text()}


def invite(
    state: GridState, *, host: str = "", ends: float, tls: Mapping[str, str] | None = None
) -> tuple[MemberState, Token]:
    """
    A token for other hosts, good for `ends` seconds at the one member that it is given out by.

    That keeps the invitation for so long, and a user who may read that and do nothing else; where the member ends the
    token ends, too. Raises GridError where no member of this host owns slots, or an EngineError.
    """
    rows = rows_seen(state)
    owner = next((one for one in state.members if one.id in rows and rows[one.id].slots), None)
    if owner is None:
        raise GridError(f"no member of {state.host} owns a part of grid {state.name!r}: ask another host for a token")
    name = _name_in(rows[owner.id].slots)
    token = Token(name=name, password=secrets.token_urlsafe(24), ca=(tls or {}).get("ca", ""))
    invitation = json.dumps(asdict(Invitation.of(state, host, tls)))
    with connect_to(state, owner) as admin:
        _drop_ended(admin)
        admin.run("EVAL", WRITE, 1, KEY + name, FIELD, invitation, int(ends * 1000))
        rights = [f"~{KEY}{name}", "+get", "+hget"]
        admin.run("ACL", "SETUSER", USER + name, "reset", "on", f">{token.password}", *rights)
    return owner, token


def accept(where: Endpoint, token: Token) -> tuple[Invitation, str]:
    """
    What the member there tells whoever has the token, and the address of this host that it is reached from.

    Raises AccessDenied for a token that has ended, or is of another member; Unreachable or EngineTimeout.
    """
    sock = _connected(where, token)
    own = str(sock.getsockname()[0])
    with Admin(sock, str(where)) as admin:
        try:
            admin.run("AUTH", USER + token.name, token.password)
            told = _told(admin, KEY + token.name)
        except AccessDenied as error:
            raise AccessDenied(
                f"{where} does not know the token: it is of another member, or that was restarted; {AGAIN}",
                where=str(where),
            ) from error
    if not isinstance(told, bytes):
        raise AccessDenied(f"the token has ended: {AGAIN}", where=str(where))
    facts = json.loads(told)
    return Invitation(**facts | {"members": tuple(facts["members"])}), own


def _told(admin: Admin, key: str) -> object:
    try:
        return admin.run("HGET", key, FIELD)
    except NotOwner:
        return None
    except ServerRefused as error:
        if WRONG_KIND not in str(error):
            raise
        return admin.run("GET", key)


def _name_in(slots: tuple[range, ...]) -> str:
    """
    A name whose key is in one of these slots, so that the member has it itself.

    It is one that it is last to give away: of its largest range, hosts that join take the end.
    """
    largest = max(slots, key=len)
    kept = largest[: max(len(largest) // KEPT, 1)]
    stem = secrets.token_hex(4)
    names = (f"{stem}{number}" for number in count())
    return next(name for name in names if slot_of((KEY + name).encode()) in kept)


def _drop_ended(admin: Admin) -> None:
    """Remove the users of tokens that have ended."""
    users = admin.run("ACL", "USERS")
    names = [user.decode() for user in users if isinstance(user, bytes)] if isinstance(users, list) else []
    for user in (name for name in names if name.startswith(USER)):
        with suppress(NotOwner):  # its slot has another owner now: it is of no more use, and does no harm
            if not admin.run("EXISTS", KEY + user.removeprefix(USER)):
                admin.run("ACL", "DELUSER", user)


def _connected(where: Endpoint, token: Token) -> socket.socket:
    sock: socket.socket | None = None
    begun = time.monotonic()
    try:
        sock = socket.create_connection(where, PATIENCE)
        return _secured(sock, where, token)
    except BaseException as error:
        if sock is not None:
            sock.close()
        if isinstance(error, OSError):
            raise _trouble(where, error, time.monotonic() - begun) from error
        raise


def _secured(sock: socket.socket, where: Endpoint, token: Token) -> socket.socket:
    if not token.ca:
        return sock
    context = ssl.create_default_context(cadata=token.ca)
    return context.wrap_socket(sock, server_hostname=where.host)


def _trouble(where: Endpoint, error: OSError, seconds: float) -> EngineError:
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "; are the clocks of both hosts right?" if "valid" in error.verify_message else ""
        return Unreachable(f"{where} is not who the token is of: {error.verify_message}{hint}", where=str(where))
    if isinstance(error, TimeoutError):
        hint = "is the address right, does a firewall bar the port"
        return EngineTimeout(f"{where} does not answer after {seconds:.0f} s: {hint}?", where=str(where))
    return Unreachable(f"{where} cannot be reached ({error}): is the grid up there, is it that port?", where=str(where))

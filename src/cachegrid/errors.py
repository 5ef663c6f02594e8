"""The error tree: one root, facts in fields, and messages that say what, where and what to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

__all__ = [
    "AccessDenied",
    "BacklogFull",
    "CacheError",
    "ChangesLost",
    "CircuitOpen",
    "ConfigError",
    "EngineError",
    "EngineTimeout",
    "EntryNotFound",
    "FrameError",
    "GridError",
    "GridFull",
    "GridNotFound",
    "GridRunning",
    "KeyRefused",
    "LoadFailed",
    "LoadTimeout",
    "LockHeld",
    "LockLost",
    "LockTimeout",
    "NotANumber",
    "NotDurable",
    "OutcomeUnknown",
    "Overloaded",
    "ServerMissing",
    "ServerRefused",
    "StartFailed",
    "Unreachable",
    "Unsupported",
    "ValueRefused",
    "ValueTooLarge",
    "WritesRefused",
]

E = TypeVar("E", bound="CacheError")


class CacheError(Exception):
    """Root of every error this package raises; `retryable` says whether trying again may help."""

    retryable = False

    def __reduce__(self) -> tuple[Any, ...]:
        # Python would call the class with the message alone, where some take facts: a worker's error must come home.
        return _remade, (type(self), *self.args), self.__dict__


def _remade(kind: type[E], *args: object) -> E:
    return kind.__new__(kind, *args)


# What the caller said.


class ConfigError(CacheError, ValueError):
    """A setting cannot be used, or nobody knows one of that name: then `name` says what is unknown, `got` which one."""

    def __init__(self, name: str, got: object, want: str, *, is_known: bool = True) -> None:
        super().__init__(f"{name} is {got!r}; it must be {want}" if is_known else f"{name} {got!r}; {want}")
        self.name, self.got, self.want, self.is_known = name, got, want, is_known
        self.near: str | None = None  # of a name that nobody knows, the known one that is most like it

    @classmethod
    def unknown(cls, what: str, name: str, known: Collection[str]) -> ConfigError:
        """Nobody knows a name; the known one that is nearest is told, whatever the case of either, else all."""
        import difflib  # an error may take its time, and an import that needs no error shall not

        names = {it.lower(): it for it in sorted(known, reverse=True)}
        near = next((names[it] for it in difflib.get_close_matches(str(name).lower(), names, 1)), None)
        hint = f"did you mean {near!r}?" if near else f"known are {', '.join(sorted(known))}"
        error = cls(what, name, hint, is_known=False)
        error.near = near
        return error

    @classmethod
    def unsaid(cls, name: str, why: str) -> ConfigError:
        """Something was not said that nobody can guess; `why` is a sentence."""
        error = cls(name, "", why)
        error.args = (f"{name} has to be said: {why}",)
        return error

    def renamed(self, name: str) -> ConfigError:
        """The same of what is called otherwise where it was said."""
        return ConfigError(name, self.got, self.want, is_known=self.is_known)


class KeyRefused(CacheError, TypeError, ValueError):
    """A key is of a type, or of a length, that no entry can have."""


class EntryNotFound(CacheError, KeyError):
    """`cache[key]` found no live entry."""

    def __init__(self, cache: str, key: object) -> None:
        super().__init__(f"cache {cache!r} has no entry for {key!r}")
        self.cache, self.key = cache, key

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return str(self.args[0])


class ValueRefused(CacheError, TypeError):
    """The codec cannot keep a value exactly; `path` says where in the value, `kind` which type."""

    def __init__(self, message: str, *, path: str = "", kind: type | None = None) -> None:
        super().__init__(message)
        self.path, self.kind = path, kind


class ValueTooLarge(CacheError, ValueError):
    """An encoded value is over the cache's size limit; nothing was stored."""

    def __init__(self, cache: str, key: object, size: int, limit: int) -> None:
        super().__init__(
            f"the value for {key!r} takes {size:,} bytes encoded, and cache {cache!r} takes at most {limit:,}; "
            "store it in parts, or raise the cache's max_value"
        )
        self.cache, self.key, self.size, self.limit = cache, key, size, limit


class NotANumber(CacheError, TypeError):
    """`incr` met an entry that holds no integer; it is as it was."""


class FrameError(CacheError, ValueError):
    """Bytes that are no frame of ours, or a damaged one. Reads count it as a miss and never raise it."""


# What happened on the way.


class EngineError(CacheError):
    """The engine could not do what was asked; `where` names the member, or the grid."""

    def __init__(self, message: str, *, where: str = "") -> None:
        super().__init__(message)
        self.where = where


class Unreachable(EngineError):
    """No connection can be made, or it broke before anything was sent."""

    retryable = True


class EngineTimeout(EngineError):
    """The deadline passed without an answer."""

    retryable = True


class CircuitOpen(Unreachable):
    """
    A member has not answered for longer than calls may take: it is not asked, for a second or a few.

    One call tries now and then, and as soon as that is answered all go on. Nothing was sent.
    """


class Overloaded(EngineTimeout):
    """As many calls as may wait for one member did, until the deadline passed; nothing was sent."""


class OutcomeUnknown(EngineError):
    """The connection broke after a write was sent, and nobody can tell what came of it: it may have been applied."""


class NotDurable(EngineError):
    """
    The owner has applied a write, and in time it was not on as many replicas, or not on the disk, as was asked for.

    What was written is there, and may be lost with its owner. To write the same again does no harm, and waits once
    more; what counts, or depends on a condition, was done already, and would be done twice.
    """

    retryable = True

    def __init__(
        self, message: str, *, where: str = "", replicas: int = 0, wanted: int = 0, on_disk: bool | None = None
    ) -> None:
        super().__init__(message, where=where)
        self.replicas, self.wanted = replicas, wanted  # how many replicas have it, and how many should
        self.on_disk = on_disk  # None where that was not asked for


class AccessDenied(EngineError):
    """The user or the password is wrong, or the user may not do this."""


class GridFull(EngineError):
    """The owner of the entry has no memory left, and nothing that it may evict; the old entry is as it was."""

    retryable = True


class Unsupported(EngineError):
    """The server is too old, or the engine lacks the ability that was asked for."""


class ServerRefused(EngineError):
    """The server answered with an error that has no class of its own."""


class WritesRefused(ServerRefused):
    """
    The owner takes no such writes for now; the old entry is as it was.

    It cannot keep its data on disk; or its part of the grid is moving, and the write needs more than one key of it.
    """

    retryable = True


class BacklogFull(CacheError):
    """As many changes wait to be written behind as may, and there was no room for more in time; nothing was changed."""

    retryable = True


class ChangesLost(CacheError):
    """The grid was closed while changes waited to be written behind, and they could not be; `changes` are they."""

    def __init__(self, cache: str, changes: Mapping[Any, Any]) -> None:
        super().__init__(
            f"the grid was closed before cache {cache!r} had written {len(changes):,} "
            f"{'change' if len(changes) == 1 else 'changes'} to its source, lost but for what this error carries in "
            "`changes`; the log has why the writer failed"
        )
        self.cache, self.changes = cache, changes


class LoadFailed(CacheError):
    """A load of the entry failed a moment ago, in whichever process, and that is remembered (`failure_ttl`)."""

    retryable = True


class LoadTimeout(CacheError):
    """Another caller was loading the entry for longer than this one would wait."""

    retryable = True


class LockTimeout(CacheError):
    """The lock was held by another for longer than this caller would wait."""

    retryable = True


class LockHeld(CacheError, RuntimeError):
    """A lock object was to be acquired that holds its lock already: it would wait for itself."""


class LockLost(CacheError):
    """The lease ended, or was lost with its owner, while the lock was believed held."""


# Operating a grid.


class GridError(CacheError):
    """Starting, stopping or finding a grid failed."""


class GridNotFound(GridError):
    """No grid of that name runs here."""


class GridRunning(GridError):
    """A grid of that name runs already, and in another shape than was asked for."""


class ServerMissing(GridError):
    """No server program was found that could run a member."""


class StartFailed(GridError):
    """A member did not come up; the message carries the reason its server gave."""

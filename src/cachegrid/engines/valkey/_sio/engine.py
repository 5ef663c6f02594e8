# Generated from src/cachegrid/engines/valkey/_aio/engine.py by tools/colour.py. Edit that file, then run `make colour`.
"""The Valkey engine: what each ability asks of the owner of an address."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from cachegrid._core.durability import MEMORY, Durability
from cachegrid.engines.valkey import commands, leases
from cachegrid.engines.valkey._sio.pages import Batch
from cachegrid.engines.valkey._sio.rounds import SyncRounds
from cachegrid.engines.valkey._sio.tags import SyncTagEpochs
from cachegrid.engines.valkey.commands import end_of, left_of, pack, unlink
from cachegrid.engines.valkey.leases import is_brief, lease_key
from cachegrid.engines.valkey.receipts import ADD_WITH_RECEIPT, Parted, kept_for, receipt_key
from cachegrid.engines.valkey.replies import bytes_in, int_in
from cachegrid.engines.valkey.target import Target
from cachegrid.engines.valkey.trouble import Effect

__all__ = ["SyncValkeyEngine"]

_Run: TypeAlias = Callable[..., object]  # runs a script at the owner of its keys

_FENCE_KEPT_MS: Final = 60_000  # how long a fencing number is remembered after its lease
_RELEASE_KEPT: Final = 1.0  # seconds beyond the deadline for which a release is remembered


class SyncValkeyEngine(SyncTagEpochs, SyncRounds):
    """Stores frames on one server or a cluster; see the protocols in `cachegrid.engines` for what each method does."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._lasting: dict[Durability, SyncValkeyEngine] = {}
        self._sure: SyncValkeyEngine | None = None

    def lasting(self, durability: Durability) -> SyncValkeyEngine:
        """The engine for writes that wait; the same one for the same durability."""
        from cachegrid.engines.valkey._sio.lasting import SyncLasting

        if durability == MEMORY:
            return self
        known = self._lasting.get(durability)
        return known or self._lasting.setdefault(durability, SyncLasting(self, durability))

    def sure_reads(self) -> SyncValkeyEngine:
        """The engine for reads that nobody answers but owners; always the same one."""
        from cachegrid.engines.valkey._sio.sure import SyncSure

        if self._sure is None:
            self._sure = SyncSure(self)
        return self._sure

    def close(self) -> None:
        """Close every connection."""
        for face in self._lasting.values():
            face.close()
        super().close()

    def forget(self) -> None:
        """In a forked child: begin with connections of its own."""
        for face in self._lasting.values():
            face.forget()
        super().forget()

    # Entries.

    def fetch(self, address: bytes) -> bytes | None:
        reply = self._call(address, commands.fetch(address), Effect.READ)
        return bytes_in(reply)

    def store(self, address: bytes, frame: bytes, ttl: int | None) -> None:
        request = commands.store(address, frame, ttl)
        if is_brief(ttl):
            self._call_both(address, request, unlink(lease_key(address)))
        else:
            self._call(address, request, Effect.REPEATABLE)

    def drop(self, address: bytes) -> bool:
        # Its lease first: else what somebody loads could land in between.
        return self._call_both(address, unlink(lease_key(address)), unlink(address)) == 1

    def store_many(self, items: Sequence[tuple[bytes, bytes, int | None]]) -> None:
        addresses = [item[0] for item in items]
        requests = [commands.store(address, frame, ttl) for address, frame, ttl in items]
        brief = [address for address, _, ttl in items if is_brief(ttl)]
        if brief:
            addresses += brief
            requests += [unlink(lease_key(address)) for address in brief]
        self._call_many(Batch(addresses, requests, Effect.REPEATABLE))

    def drop_many(self, addresses: Sequence[bytes]) -> int:
        twice = [address for address in addresses for _ in range(2)]
        keys = [key for address in addresses for key in (lease_key(address), address)]
        replies = self._call_many(Batch(twice, list(map(unlink, keys)), Effect.REPEATABLE))
        return sum(map(int_in, replies[1::2]))

    # Conditions and counts: what must not be applied twice.

    def store_if_absent(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        return self._call(address, _set_if(address, frame, ttl, b"NX"), Effect.ONCE) is not None

    def store_if_present(self, address: bytes, frame: bytes, ttl: int | None) -> bool:
        return self._call(address, _set_if(address, frame, ttl, b"XX"), Effect.ONCE) is not None

    def store_if_version(self, address: bytes, version: bytes, frame: bytes, ttl: int | None) -> bool:
        return self._run(commands.STORE_IF_VERSION, Effect.ONCE, (address,), version, frame, end_of(ttl)) == 1

    def drop_if_version(self, address: bytes, version: bytes) -> bool:
        return self._run(commands.DROP_IF_VERSION, Effect.ONCE, (address,), version) == 1

    def drop_if_strange(self, address: bytes) -> bool:
        return self._run(commands.DROP_IF_STRANGE, Effect.REPEATABLE, (address,)) == 1

    def add(self, address: bytes, by: int, start: int, ttl: int | None) -> int:
        return self._count(self._run, address, by, start, ttl)

    def _count(self, run: _Run, address: bytes, by: int, start: int, ttl: int | None) -> int:
        args, kept = (b"%d" % start, b"%d" % by, end_of(ttl)), kept_for(self._target.timeout)
        keys = address, receipt_key(address, os.urandom(8))
        try:
            return int_in(run(ADD_WITH_RECEIPT, Effect.RECEIPT, keys, *args, kept))
        except Parted as parted:  # what has one key goes where that is
            return int_in(run(commands.ADD, Effect.ONCE, (address,), *args, deadline=parted.deadline))

    # Times.

    def fetch_idle(self, address: bytes, idle: int) -> bytes | None:
        # While the owner is away a replica tells what is there; only the owner can let it live on.
        plain = commands.fetch(address)
        return bytes_in(self._run(commands.FETCH_IDLE, Effect.REPEATABLE, (address,), b"%d" % idle, plain=plain))

    def fetch_idle_many(self, addresses: Sequence[bytes], idle: int) -> list[bytes | None]:
        script, limit = commands.FETCH_IDLE, b"%d" % idle
        batch = Batch(
            addresses,
            [script.call((address,), limit) for address in addresses],
            Effect.REPEATABLE,
            lambda address: script.send((address,), limit),
            commands.fetch,
        )
        return [bytes_in(reply) for reply in self._call_many(batch)]

    def touch(self, address: bytes, ttl: int | None, now: int) -> bool:
        if is_brief(ttl):
            self._call(address, unlink(lease_key(address)), Effect.REPEATABLE)
        is_one = b"%d" % (ttl is not None)
        args = end_of(ttl), is_one, b"%d" % now
        return self._run(commands.TOUCH, Effect.REPEATABLE, (address,), *args) == 1

    def inspect(self, address: bytes) -> tuple[bytes, int | None] | None:
        match self._run(commands.INSPECT, Effect.READ, (address,)):
            case [int(left), bytes(frame)]:
                return frame, left_of(left)
            case bytes(frame):
                return frame, None
            case _:
                return None

    def glance(self, address: bytes, size: int) -> tuple[bytes, int | None, int] | None:
        match self._run(commands.GLANCE, Effect.READ, (address,), b"%d" % size):
            case [int(left), int(whole), bytes(head)]:
                return head, left_of(left), whole
            case bytes(frame):
                return frame[:size], None, len(frame)
            case _:
                return None

    # Leases: a token recognises its own, a release itself and a landing its frame, so all of them may be repeated.

    def acquire(self, name: bytes, token: bytes, lease: int) -> int | None:
        reply = self._run(leases.ACQUIRE, Effect.REPEATABLE, (lease_key(name),), token, b"%d" % lease)
        return None if reply is None else int_in(reply)

    def renew(self, name: bytes, token: bytes, lease: int) -> bool:
        return self._run(leases.RENEW, Effect.REPEATABLE, (lease_key(name),), token, b"%d" % lease) == 1

    def release(self, name: bytes, token: bytes) -> bool:
        word = b"%x" % random.getrandbits(64)
        kept = b"%d" % max(_FENCE_KEPT_MS, round(1000 * (self._target.timeout + _RELEASE_KEPT)))
        return self._run(leases.RELEASE, Effect.REPEATABLE, (lease_key(name),), token, word, kept) == 1

    def is_held(self, name: bytes) -> bool:
        # By the owner alone, as all that is said of leases: a replica may not know of one yet.
        return self._run(leases.HELD, Effect.REPEATABLE, (lease_key(name),)) == 1

    def land(self, address: bytes, token: bytes, frame: bytes, ttl: int | None) -> bool:
        keys = lease_key(address), address
        return self._run(leases.LAND, Effect.REPEATABLE, keys, token, frame, end_of(ttl)) == 1


def _set_if(address: bytes, frame: bytes, ttl: int | None, condition: bytes) -> bytes:
    return pack(b"SET", address, frame, condition, b"PX", end_of(ttl))

"""The epochs of tags: as those of caches, but there may be millions, and each is doubted apart from most others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cachegrid._core.tags import bucket_of
from cachegrid.engines.valkey import commands
from cachegrid.engines.valkey._aio.bells import EPOCH_COPIES_MS, AsyncBells
from cachegrid.engines.valkey._aio.link import AsyncLink
from cachegrid.engines.valkey._aio.pages import AsyncPages, Batch
from cachegrid.engines.valkey.bell import bell_key
from cachegrid.engines.valkey.commands import DROP_IF_VERSION, FAR, MAKE_TAG, RAISE_TAG, left_of, pack
from cachegrid.engines.valkey.replies import bytes_in, epoch_in, int_in, unexpected
from cachegrid.engines.valkey.slots import slot_of
from cachegrid.engines.valkey.trouble import Effect, LinkError

__all__ = ["AsyncTagEpochs", "tag_key"]

_SPARE_MS: Final = 3_600_000  # what an epoch is given besides, so that it is not given more at every write


class AsyncTagEpochs(AsyncPages, AsyncBells):
    """Raises the epochs of tags, and lets everybody know which ones."""

    async def tag_epochs(self, names: Sequence[bytes]) -> list[int]:
        trouble = self.trouble
        found = [epoch_in(raw) or 0 for raw in await self.fetch_many([tag_key(name) for name in names])]
        if self.trouble != trouble:
            # A replica may have told it, which need not know of the last raise yet: asked again with the next request.
            self._doubt_tags(map(bucket_of, names))
        return found

    async def make_tag_epochs(self, names: Sequence[bytes], last: int | None) -> list[tuple[int, int | None]]:
        lasts = b"%d" % (FAR // 2 if last is None else last)
        span = b"%d" % (FAR if last is None else 2 * last + _SPARE_MS)
        keys = [tag_key(name) for name in names]
        requests = [MAKE_TAG.call((key,), lasts, span) for key in keys]
        source = lambda key: MAKE_TAG.send((key,), lasts, span)  # noqa: E731 - one line of a call
        replies = await self._call_many(Batch(keys, requests, Effect.REPEATABLE, source=source))
        return [_made_in(reply) for reply in replies]

    async def raise_tags(self, names: Sequence[bytes]) -> None:
        buckets = sorted({bucket_of(name) for name in names})
        try:
            await self._raise_tags_at_owners(names)
            await self._ring(buckets)
        finally:  # what failed may have been done
            self._doubt_tags(buckets)

    async def heads(self, addresses: Sequence[bytes], size: int) -> list[bytes | None]:
        last = b"%d" % (size - 1)
        requests = [pack(b"GETRANGE", address, b"0", last) for address in addresses]
        replies = await self._call_many(Batch(addresses, requests, Effect.READ))
        return [bytes_in(reply) or None for reply in replies]

    async def drop_versions(self, entries: Sequence[tuple[bytes, bytes]]) -> int:
        versions = dict(entries)
        requests = [DROP_IF_VERSION.call((address,), version) for address, version in entries]
        source = lambda address: DROP_IF_VERSION.send((address,), versions[address])  # noqa: E731 - one line of a call
        # Once more does no harm: no two entries have the same version.
        batch = Batch([address for address, _ in entries], requests, Effect.REPEATABLE, source=source)
        return sum(map(int_in, await self._call_many(batch)))

    async def _raise_tags_at_owners(self, names: Sequence[bytes]) -> None:
        """Raise them, and give them time to be on a replica too, so that a failover does not undo it."""
        by_owner: dict[AsyncLink, list[bytes]] = {}
        for name in names:
            by_owner.setdefault(self._owners[slot_of(tag_key(name))], []).append(name)
        wait = pack(b"WAIT", b"1", b"%d" % EPOCH_COPIES_MS)
        work: list[tuple[AsyncLink, bytes, int]] = []
        for link, mine in by_owner.items():
            requests = [_raise(name) for name in mine]
            if self._routing.replicas_of(slot_of(tag_key(mine[0]))):
                # WAIT speaks of what its own connection wrote, and holds that up: it has a connection to itself.
                link, requests = self._routing.side_link(link.endpoint), [*requests, wait]  # noqa: PLW2901 - as said
            work.append((link, b"".join(requests), len(requests)))
        answers = await self._all_at_once(work)
        failed: list[bytes] = []
        for mine, replies in zip(by_owner.values(), answers, strict=True):
            if isinstance(replies, LinkError):
                failed += mine
            else:
                failed += [name for name, reply in zip(mine, replies, strict=False) if isinstance(reply, Exception)]
        for name in failed:  # perhaps raised: once more does no harm
            await self._raise_tag(name)

    async def _raise_tag(self, name: bytes) -> None:
        await self._run(RAISE_TAG, Effect.REPEATABLE, _raised_keys(name))


def _raise(name: bytes) -> bytes:
    return RAISE_TAG.send(_raised_keys(name))


def _raised_keys(name: bytes) -> tuple[bytes, bytes]:
    return tag_key(name), bell_key(name, [bucket_of(name)])


def tag_key(name: bytes) -> bytes:
    """The key of a tag's epoch; `name` is the whole one."""
    return commands.TAG_PREFIX + b"{" + name + b"}"


def _made_in(reply: object) -> tuple[int, int | None]:
    match reply:
        case [bytes(epoch), int(left)]:
            return int(epoch), left_of(left)
        case _:
            raise unexpected(reply)

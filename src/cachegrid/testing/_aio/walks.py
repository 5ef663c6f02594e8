# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the abilities Walks and Members."""

from __future__ import annotations

from cachegrid.testing._aio.bench import AsyncBench, promise

__all__ = ["AsyncMembersContract", "AsyncWalksContract"]


class AsyncWalksContract(AsyncBench):
    """Lists of what is there."""

    @promise("Walks")
    async def test_a_walk_lists_everything(self) -> None:
        """
        Whatever is there throughout the walk is listed, on as many pages as it takes.
        """
        addresses = self.addresses(2500)
        for address in addresses:
            await self.engine.store(address, b"", None)
        assert set(addresses) == await self._walked(self.address(b""))

    @promise("Walks")
    async def test_a_walk_lists_only_what_begins_so(self) -> None:
        """
        A prefix is bytes, and none of them means anything else.
        """
        prefixes = [b"a*", b"a?", b"[ab]", b"a\\", b"a{", b"\x00\xff", b"^a", b"a\r\n"]
        for prefix in [*prefixes, b"ab", b"a", b"b"]:
            await self.engine.store(self.address(prefix + b":1"), b"", None)
            await self.engine.store(self.address(b"x" + prefix), b"", None)
        for prefix in prefixes:
            assert {self.address(prefix + b":1")} == await self._walked(self.address(prefix))

    @promise("Walks")
    async def test_a_walk_over_nothing_ends(self) -> None:
        """
        Where nothing begins with the prefix, the walk lists nothing.
        """
        assert set() == await self._walked(self.address(b"nothing"))

    @promise("Walks")
    async def test_a_walk_lists_what_is_there(self) -> None:
        """
        What was dropped, or has ended, is not listed.
        """
        stays, dropped, ended = (self.address(b"walk:%d" % number) for number in range(3))
        await self.engine.store(stays, b"", None)
        await self.engine.store(dropped, b"", None)
        await self.engine.store(ended, b"", 5)
        await self.engine.drop(dropped)
        await self.passes(5)
        await self.passes(self.tolerance)
        assert {stays} == await self._walked(self.address(b"walk:"))

    @promise("Walks")
    async def test_a_walk_goes_on_among_changes(self) -> None:
        """
        What comes and goes during a walk keeps nothing that stays from being listed.
        """
        staying = self.addresses(1200)
        going = [address + b":goes" for address in reversed(staying)]
        for stays, goes in zip(staying, reversed(going), strict=True):
            await self.engine.store(stays, b"", None)
            await self.engine.store(goes, b"", None)
        seen: set[bytes] = set()
        async for page in self.engine.walk(self.address(b"")):
            seen.update(page)
            for _ in range(min(50, len(going))):
                await self.engine.drop(going.pop())
                await self.engine.store(self.address(b"comes:%d" % len(going)), b"", None)
        assert set(staying) <= seen

    @promise("Walks")
    async def test_a_walk_may_be_left(self) -> None:
        """
        A walk that is not walked to its end disturbs nobody.
        """
        addresses = self.addresses(1500)
        for address in addresses:
            await self.engine.store(address, b"here", None)
        async for page in self.engine.walk(self.address(b"")):
            if page:
                break
        assert b"here" == await self.engine.fetch(addresses[0])
        assert set(addresses) == await self._walked(self.address(b""))

    async def _walked(self, prefix: bytes) -> set[bytes]:
        return {address async for page in self.engine.walk(prefix) for address in page}


class AsyncMembersContract(AsyncBench):
    """What servers the grid is made of."""

    @promise("Members")
    async def test_members_are_listed_owners_first(self) -> None:
        """
        Every member is listed, owners before replicas, and every engine lists the same.
        """
        other = await self.another()
        members = await self.engine.members()
        roles = [member.role for member in members]
        assert "owner" in roles
        assert sorted(roles) == roles
        assert set(roles) <= {"owner", "replica"}
        assert all(member.up for member in members)
        places = sorted((member.host, member.port) for member in members)
        assert places == sorted((member.host, member.port) for member in await other.members())
        assert len(set(places)) == len(places)

    @promise("Members")
    async def test_replicas_name_their_owner(self) -> None:
        """
        A replica names the owner that it follows, and that is a member.
        """
        members = await self.engine.members()
        owners = {member.id for member in members if member.role == "owner"}
        assert {member.owner_id for member in members if member.role == "replica"} <= owners

    @promise("Members")
    async def test_members_tell_what_they_hold(self) -> None:
        """
        Owners count the entries that were stored, and the bytes these take.
        """
        for address in self.addresses(50):
            await self.engine.store(address, b"x" * 1000, None)
        owners = [member for member in await self.engine.members() if member.role == "owner"]
        assert sum(member.entries for member in owners) >= 50
        assert sum(member.memory_bytes for member in owners) >= 50_000

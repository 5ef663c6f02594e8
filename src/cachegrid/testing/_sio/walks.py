# Generated from src/cachegrid/testing/_aio/walks.py by tools/colour.py. Edit that file, then run `make colour`.
# ruff: noqa: S101, SIM300 - a contract asserts, and what it expects comes first
"""The promises of the abilities Walks and Members."""

from __future__ import annotations

from cachegrid.testing._sio.bench import SyncBench, promise

__all__ = ["SyncMembersContract", "SyncWalksContract"]


class SyncWalksContract(SyncBench):
    """Lists of what is there."""

    @promise("Walks")
    def test_a_walk_lists_everything(self) -> None:
        """
        Whatever is there throughout the walk is listed, on as many pages as it takes.
        """
        addresses = self.addresses(2500)
        for address in addresses:
            self.engine.store(address, b"", None)
        assert set(addresses) == self._walked(self.address(b""))

    @promise("Walks")
    def test_a_walk_lists_only_what_begins_so(self) -> None:
        """
        A prefix is bytes, and none of them means anything else.
        """
        prefixes = [b"a*", b"a?", b"[ab]", b"a\\", b"a{", b"\x00\xff", b"^a", b"a\r\n"]
        for prefix in [*prefixes, b"ab", b"a", b"b"]:
            self.engine.store(self.address(prefix + b":1"), b"", None)
            self.engine.store(self.address(b"x" + prefix), b"", None)
        for prefix in prefixes:
            assert {self.address(prefix + b":1")} == self._walked(self.address(prefix))

    @promise("Walks")
    def test_a_walk_over_nothing_ends(self) -> None:
        """
        Where nothing begins with the prefix, the walk lists nothing.
        """
        assert set() == self._walked(self.address(b"nothing"))

    @promise("Walks")
    def test_a_walk_lists_what_is_there(self) -> None:
        """
        What was dropped, or has ended, is not listed.
        """
        stays, dropped, ended = (self.address(b"walk:%d" % number) for number in range(3))
        self.engine.store(stays, b"", None)
        self.engine.store(dropped, b"", None)
        self.engine.store(ended, b"", 5)
        self.engine.drop(dropped)
        self.passes(5)
        self.passes(self.tolerance)
        assert {stays} == self._walked(self.address(b"walk:"))

    @promise("Walks")
    def test_a_walk_goes_on_among_changes(self) -> None:
        """
        What comes and goes during a walk keeps nothing that stays from being listed.
        """
        staying = self.addresses(1200)
        going = [address + b":goes" for address in reversed(staying)]
        for stays, goes in zip(staying, reversed(going), strict=True):
            self.engine.store(stays, b"", None)
            self.engine.store(goes, b"", None)
        seen: set[bytes] = set()
        for page in self.engine.walk(self.address(b"")):
            seen.update(page)
            for _ in range(min(50, len(going))):
                self.engine.drop(going.pop())
                self.engine.store(self.address(b"comes:%d" % len(going)), b"", None)
        assert set(staying) <= seen

    @promise("Walks")
    def test_a_walk_may_be_left(self) -> None:
        """
        A walk that is not walked to its end disturbs nobody.
        """
        addresses = self.addresses(1500)
        for address in addresses:
            self.engine.store(address, b"here", None)
        for page in self.engine.walk(self.address(b"")):
            if page:
                break
        assert b"here" == self.engine.fetch(addresses[0])
        assert set(addresses) == self._walked(self.address(b""))

    def _walked(self, prefix: bytes) -> set[bytes]:
        return {address for page in self.engine.walk(prefix) for address in page}


class SyncMembersContract(SyncBench):
    """What servers the grid is made of."""

    @promise("Members")
    def test_members_are_listed_owners_first(self) -> None:
        """
        Every member is listed, owners before replicas, and every engine lists the same.
        """
        other = self.another()
        members = self.engine.members()
        roles = [member.role for member in members]
        assert "owner" in roles
        assert sorted(roles) == roles
        assert set(roles) <= {"owner", "replica"}
        assert all(member.up for member in members)
        places = sorted((member.host, member.port) for member in members)
        assert places == sorted((member.host, member.port) for member in other.members())
        assert len(set(places)) == len(places)

    @promise("Members")
    def test_replicas_name_their_owner(self) -> None:
        """
        A replica names the owner that it follows, and that is a member.
        """
        members = self.engine.members()
        owners = {member.id for member in members if member.role == "owner"}
        assert {member.owner_id for member in members if member.role == "replica"} <= owners

    @promise("Members")
    def test_members_tell_what_they_hold(self) -> None:
        """
        Owners count the entries that were stored, and the bytes these take.
        """
        for address in self.addresses(50):
            self.engine.store(address, b"x" * 1000, None)
        owners = [member for member in self.engine.members() if member.role == "owner"]
        assert sum(member.entries for member in owners) >= 50
        assert sum(member.memory_bytes for member in owners) >= 50_000

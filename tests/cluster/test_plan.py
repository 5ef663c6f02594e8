"""What a grid will look like is decided by plain functions."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachegrid.cluster.plan import (
    GridPlan,
    MemberPlan,
    MemberTls,
    Shape,
    conf_beside,
    conf_text,
    lay_out,
    nodes_text,
    quoted,
    slot_ranges,
)
from cachegrid.engines.valkey.facts import NodeRow, read_rows
from cachegrid.engines.valkey.slots import SLOTS
from cachegrid.errors import ConfigError

SHAPES = st.builds(Shape, owners=st.integers(1, 12), replicas=st.integers(0, 3))


def planned(shape: Shape) -> GridPlan:
    """A plan with ports and ids that are easy to tell apart."""
    ids = (f"{number:040x}" for number in itertools.count(1))
    ports = [(7000 + index, 17000 + index) for index in range(shape.members)]
    return lay_out(shape, "127.0.0.1", ports, lambda: next(ids))


def told(plan: GridPlan, member: MemberPlan, *, shards: bool = True) -> dict[str, NodeRow]:
    """What a member's nodes.conf tells it."""
    lines = nodes_text(plan, member.index, shards=shards).splitlines()
    return read_rows(line for line in lines if not line.startswith("vars"))


def conf_of(shape: Shape, **more: object) -> dict[str, str]:
    """The lines of the first member's settings file, by name."""
    text = conf_text(planned(shape).members[0], shape, Path("/grids/one/m1"), password="pw", **more)  # type: ignore[arg-type]
    return dict(line.split(" ", 1) for line in text.splitlines())


@given(st.integers(1, SLOTS))
def test_every_slot_has_one_owner_and_owners_share_fairly(owners: int) -> None:
    """
    All slots are given out once, in order, and no owner has two more than another.
    """
    ranges = slot_ranges(owners)
    assert list(range(SLOTS)) == list(itertools.chain.from_iterable(ranges))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


@given(SHAPES)
def test_every_owner_gets_its_replicas(shape: Shape) -> None:
    """
    Each owner is followed by as many members as were asked for, and nobody else is followed.
    """
    plan = planned(shape)
    followed = [member.follows for member in plan.replicas]
    assert shape.owners == len(plan.owners)
    assert sorted(list(range(shape.owners)) * shape.replicas) == sorted(followed)  # type: ignore[type-var]


@given(SHAPES)
def test_a_member_is_told_about_everybody_once(shape: Shape) -> None:
    """
    Every member finds itself, and all others with their own ports, in what it is told.
    """
    plan = planned(shape)
    for member in plan.members:
        rows = told(plan, member)
        assert [member.id] == [row.id for row in rows.values() if "myself" in row.flags]
        assert {other.id: other.port for other in plan.members}.items() <= {r.id: r.port for r in rows.values()}.items()


@given(SHAPES)
def test_owners_believe_in_phantoms_and_replicas_in_owners(shape: Shape) -> None:
    """
    To an owner all slots are the phantoms' that owners replicate; to a replica they are the owners'.
    """
    plan = planned(shape)
    phantoms = {owner.phantom: list(owner.slots) for owner in plan.owners}
    for owner in plan.owners:
        rows = told(plan, owner)
        assert phantoms == {row.id: list(row.slots) for row in rows.values() if row.is_owner}
        assert owner.phantom == rows[owner.id].owner_id
    for replica in plan.replicas:
        rows = told(plan, replica)
        assert {o.id: list(o.slots) for o in plan.owners} == {r.id: list(r.slots) for r in rows.values() if r.is_owner}
        assert plan.members[replica.follows or 0].id == rows[replica.id].owner_id


@given(SHAPES.filter(lambda shape: shape.replicas > 0))
def test_taking_over_leads_to_the_epochs_that_replicas_know(shape: Shape) -> None:
    """
    Each owner's epoch is its own, and is one above the latest that the owner is told of: that is what it takes.
    """
    plan = planned(shape)
    known = told(plan, plan.replicas[0])
    epochs = [known[owner.id].epoch for owner in plan.owners]
    assert len(set(epochs)) == len(epochs)
    for owner, epoch in zip(plan.owners, epochs, strict=True):
        current = int(nodes_text(plan, owner.index, shards=True).split("currentEpoch ")[1].split()[0])
        assert epoch == current + 1
        assert current >= max(row.epoch for row in told(plan, owner).values())


def test_only_servers_that_know_shards_are_told_of_them() -> None:
    """
    Without shards the address is all there is, as old servers want it; with them each owner's group has one.
    """
    plan = planned(Shape(owners=2, replicas=1))
    assert "shard" not in nodes_text(plan, 0, shards=False)
    named = {word.split("shard-id=")[1] for word in nodes_text(plan, 3, shards=True).split() if "shard-id" in word}
    assert {owner.shard for owner in plan.owners} == named


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"owners": 0}, "members"),
        ({"replicas": -1}, "replicas"),
        ({"owners": 600, "replicas": 1}, "members"),
        ({"owners": 3, "memory": 20 << 20}, "memory"),
    ],
)
def test_what_no_grid_can_be_is_refused(settings: dict[str, int], name: str) -> None:
    """
    The error names the setting, as the command line spells it.
    """
    with pytest.raises(ConfigError) as caught:
        Shape(**settings)  # type: ignore[arg-type]
    assert name == caught.value.name


def test_a_shape_is_told_in_words() -> None:
    """
    Messages say what a grid is without a table.
    """
    assert "3 owners, 1 replica each, no memory limit, not kept on disk" == str(Shape())
    one = Shape(owners=1, replicas=0, memory=64 << 20, persist=True)
    assert "1 owner, 0 replicas each, 67.1 MB of memory, kept on disk" == str(one)


@given(st.integers(1, 20), st.integers(0, 1 << 44))
def test_memory_is_split_over_the_owners(owners: int, spare: int) -> None:
    """
    Together the owners never take more than was given, and lose less than a byte each.
    """
    memory = owners * 8_000_000 + spare
    each = int(conf_of(Shape(owners=owners, replicas=0, memory=memory))["maxmemory"])
    assert memory - owners < each * owners <= memory


def test_too_little_memory_is_refused_with_how_much_it_takes() -> None:
    """
    In the unit that people type, and for all owners together.
    """
    assert 24_000_000 == Shape(owners=3, memory=24_000_000).memory
    with pytest.raises(ConfigError, match=r"at least 24000000, or 24.0 MB: 8.0 MB for each of its 3 owners$"):
        Shape(owners=3, memory=23_999_999)
    with pytest.raises(ConfigError, match=r"at least 8000000, or 8.0 MB$"):
        Shape(owners=1, memory=1)


def test_a_memory_limit_makes_room_by_evicting() -> None:
    """
    With a limit the entries used least recently go first, and the backlog leaves most of a small member to them.
    """
    conf = conf_of(Shape(owners=1, replicas=0, memory=16 << 20))
    assert "volatile-lru" == conf["maxmemory-policy"]
    assert 1 << 20 == int(conf["repl-backlog-size"])
    assert "maxmemory" not in conf_of(Shape())


def test_members_listen_where_they_are_told_and_on_loopback() -> None:
    """
    Loopback is always there, once; the bus has its own port, since the usual one may not exist.
    """
    conf = conf_of(Shape())
    assert ("127.0.0.1", "7000", "17000") == (conf["bind"], conf["port"], conf["cluster-port"])
    plan = lay_out(Shape(owners=1, replicas=0), "10.0.0.7", [(60000, 60001)], lambda: "a" * 40)
    assert "bind 127.0.0.1 10.0.0.7\n" in conf_text(plan.members[0], plan.shape, Path("/m1"), password="")


def test_with_tls_there_is_no_other_way_in() -> None:
    """
    The plain port is closed, and members talk TLS among themselves, too.
    """
    conf = conf_of(Shape(), tls=MemberTls(ca=Path("/pem/ca"), cert=Path("/pem/cert"), key=Path("/pem/key")))
    assert ("0", "7000", "yes", "yes") == (conf["port"], conf["tls-port"], conf["tls-cluster"], conf["tls-replication"])


def test_persistence_is_a_log_and_never_a_snapshot() -> None:
    """
    Kept on disk means appended to a log; without it nothing is written.
    """
    kept, lost = conf_of(Shape(persist=True)), conf_of(Shape())
    assert ("yes", '""') == (kept["appendonly"], kept["save"])
    assert ("no", '""') == (lost["appendonly"], lost["save"])


def test_settings_of_the_caller_win() -> None:
    """
    Whoever knows the server better than we do has the last word.
    """
    assert '"always"' == conf_of(Shape(), settings={"appendfsync": "always"})["appendfsync"]
    assert '"5000"' == conf_of(Shape(), settings={"cluster-node-timeout": "5000"})["cluster-node-timeout"]


@given(st.text())
def test_no_value_ends_its_line(value: str) -> None:
    """
    Whatever is in a path or a password stays one value on one line, and reads back as it was.
    """
    line = quoted(value)
    assert [line] == re.split("[\r\n]", line)
    marks = {"n": "\n", "r": "\r"}
    assert value == re.sub(r"\\(.)", lambda found: marks.get(found[1], found[1]), line[1:-1])


def test_one_more_member_is_set_as_another_one_but_for_its_place() -> None:
    """
    Settings that somebody chose are its own, too; with TLS nobody listens in clear.
    """
    tls = MemberTls(ca=Path("/ca"), cert=Path("/cert"), key=Path("/key"))
    plan = planned(Shape(owners=1, replicas=0))
    for files in (None, tls):
        model = conf_text(
            plan.members[0], plan.shape, Path("/g/m1"), password="pw", tls=files, settings={"timeout": "9"}
        )
        text = conf_beside(model, Path("/g/m4"), port=71, bus_port=72, tls=files is not None)
        changed = {*text.splitlines()} - {*model.splitlines()}
        port = {"tls-port 71"} if files else {"port 71"}
        assert changed == port | {"cluster-port 72", 'dir "/g/m4"', 'logfile "/g/m4/log"', 'pidfile "/g/m4/pid"'}
        assert len(model.splitlines()) == len(text.splitlines())


def test_with_more_or_fewer_owners_each_has_as_much_memory() -> None:
    """
    Also where the whole could not be split evenly.
    """
    shape = Shape(owners=3, memory=100_000_000)
    assert 4 * (100_000_000 // 3) == shape.with_owners(4).memory
    assert shape.with_owners(4).with_owners(2) == shape.with_owners(2)
    assert Shape(owners=3).with_owners(5) == Shape(owners=5)

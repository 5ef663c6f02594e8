"""What members tell about themselves and each other, as facts."""

from __future__ import annotations

from cachegrid.engines.facts import MemberFacts
from cachegrid.engines.valkey.facts import Node, count_lag, read_facts, read_nodes, silent_facts
from cachegrid.engines.valkey.slots import Endpoint

ASKED = Endpoint("10.0.0.1", 7001)
OWNER = Node(Endpoint("10.0.0.1", 7001), "a" * 40, "owner", "", 8192)
REPLICA = Node(Endpoint("10.0.0.4", 7004), "d" * 40, "replica", "a" * 40)

NODES = b"""\
%(a)s 10.0.0.1:7001@17001,,shard-id=11aa myself,master - 0 0 2 connected 0-99 200 [93-<-%(b)s] [94->-%(b)s]
%(b)s 10.0.0.2:7002@17002,member-2.example,shard-id=22bb master - 0 1730000000000 3 connected 100-199
%(c)s 10.0.0.3:7003@17003 master,fail - 1730000000000 1730000000000 1 disconnected 201-16383
%(d)s 10.0.0.4:7004@17004 slave,fail? %(a)s 0 1730000000000 2 connected
%(e)s fd00::5:7005@17005 slave %(b)s 0 1730000000000 2 connected
%(f)s :0@0 master,noaddr - 1730000000000 1730000000000 0 disconnected
%(g)s 10.0.0.7:7007@17007 handshake - 0 0 0 disconnected
""" % {letter.encode(): letter.encode() * 40 for letter in "abcdefg"}

INFO = b"""\
# Server\r
redis_version:7.2.4\r
server_name:valkey\r
valkey_version:9.1.2\r
process_id:4711\r
executable:/opt/a:b/valkey-server\r
# Memory\r
used_memory:2910760\r
maxmemory:104857600\r
# Stats\r
keyspace_hits:12\r
keyspace_misses:3\r
# Replication\r
role:master\r
master_repl_offset:5000\r
# Keyspace\r
db0:keys=45,expires=42,avg_ttl=0\r
"""


def test_nodes_are_read() -> None:
    """
    Every member that has an address is listed, those too that are thought dead, with the number of its slots.
    """
    nodes = list(read_nodes(NODES, ASKED))
    assert [
        Node(Endpoint("10.0.0.1", 7001), "a" * 40, "owner", "", 101),
        Node(Endpoint("10.0.0.2", 7002), "b" * 40, "owner", "", 100),
        Node(Endpoint("10.0.0.3", 7003), "c" * 40, "owner", "", 16183),
        Node(Endpoint("10.0.0.4", 7004), "d" * 40, "replica", "a" * 40, 0),
        Node(Endpoint("fd00::5", 7005), "e" * 40, "replica", "b" * 40, 0),
    ] == nodes


def test_a_member_that_does_not_know_its_host_is_the_one_that_was_asked() -> None:
    """
    A member that has met no other does not know its own address.
    """
    line = b"%b :7001@17001 myself,master - 0 0 1 connected 0-16383" % (b"a" * 40)
    assert [Endpoint("10.0.0.1", 7001)] == [node.endpoint for node in read_nodes(line, ASKED)]
    at_socket = read_nodes(line, Endpoint("/run/valkey.sock", 0))
    assert [Endpoint("127.0.0.1", 7001)] == [node.endpoint for node in at_socket]


def test_facts_are_read() -> None:
    """
    What INFO and DBSIZE say, with sizes in bytes, and how far the member is in the stream of writes.
    """
    node, facts = read_facts(OWNER, [INFO, 45])
    assert 5000 == node.offset
    assert (
        MemberFacts(
            host="10.0.0.1",
            port=7001,
            role="owner",
            id="a" * 40,
            pid=4711,
            version="9.1.2",
            slots=8192,
            entries=42,
            memory_bytes=2910760,
            memory_limit_bytes=104857600,
            hits=12,
            misses=3,
        )
        == facts
    )


def test_a_replica_tells_its_owner() -> None:
    """
    A replica names its owner, says whether it follows it, and where it is in the owner's stream.
    """
    info = INFO + b"role:slave\r\nmaster_link_status:down\r\nslave_repl_offset:4000\r\n"
    node, facts = read_facts(REPLICA, [info, 42])
    assert 4000 == node.offset
    assert ("replica", "a" * 40, False) == (facts.role, facts.owner_id, facts.link_up)


def test_redis_has_a_version_too() -> None:
    """
    A server that is no Valkey tells its version in the older field.
    """
    _, facts = read_facts(OWNER, [INFO.replace(b"valkey_version:9.1.2\r\n", b""), 0])
    assert "7.2.4" == facts.version


def test_what_is_not_told_is_zero() -> None:
    """
    A member that refuses to tell (it may be loading, or the user may not ask) is listed without numbers.
    """
    for replies in ([b"", 0], [ValueError("LOADING"), ValueError("LOADING")], [b"used_memory:many\r\nfoo\r\n", None]):
        _, facts = read_facts(OWNER, list(replies))
        assert MemberFacts(host="10.0.0.1", port=7001, role="owner", id="a" * 40, slots=8192) == facts


def test_lag_is_what_a_replica_has_not_seen() -> None:
    """
    A replica lags behind its own owner, by bytes; owners lag behind nobody, and stand first.
    """
    _, owner = read_facts(OWNER, [INFO, 0])
    _, replica = read_facts(REPLICA, [INFO, 0])
    found = [(REPLICA._replace(offset=4000), replica), (OWNER._replace(offset=5000), owner)]
    assert [("owner", 0), ("replica", 1000)] == [(facts.role, facts.lag_bytes) for facts in count_lag(found)]
    ahead = [(REPLICA._replace(offset=6000), replica), (OWNER._replace(offset=5000), owner)]  # asked later
    assert [0, 0] == [facts.lag_bytes for facts in count_lag(ahead)]
    alone = [(REPLICA._replace(offset=6000), replica)]
    assert [0] == [facts.lag_bytes for facts in count_lag(alone)]


def test_a_member_that_is_silent_is_listed() -> None:
    """
    A member that does not answer is known by what the others say, and is not up.
    """
    node, facts = silent_facts(REPLICA)
    assert REPLICA == node
    assert (False, "10.0.0.4", 7004, "replica", "a" * 40) == (
        facts.up,
        facts.host,
        facts.port,
        facts.role,
        facts.owner_id,
    )
    _, owner = read_facts(OWNER, [INFO, 0])
    lags = count_lag([(REPLICA, facts), (OWNER._replace(offset=5000), owner)])
    assert [0, 0] == [fact.lag_bytes for fact in lags]

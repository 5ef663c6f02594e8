"""Checks of who is there, who owns and follows whom, and how the members fare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cachegrid._core.units import size_text
from cachegrid.cluster.doctor.facts import Badness, Examined, Finding, MemberReport
from cachegrid.engines.valkey.slots import SLOTS

__all__ = ["CHECKS"]

VOTES: Final = 3  # owners, of which two can outvote the one that is dead
LAG: Final = 10 << 20  # bytes that a replica may be behind without a word
SKEW, FAR = 1.0, 60.0  # seconds between clocks: good to know, and a problem
FULL: Final = 0.9  # of its memory limit
STARTS: Final = 3  # within an hour
CONNECTIONS: Final = 0.8  # of those that a member takes


def dead_members(grid: Examined) -> Iterator[Finding]:
    """Members that do not answer."""
    silent = [member for member in grid.members if not member.is_up]
    still = [member for member in silent if member.has_process]
    for members, what, advice in (
        ([member for member in silent if member not in still], "", _advice_on_dead(is_here=grid.host is not None)),
        (still, ", and its process is there", "see whether it was stopped (SIGSTOP), or waits for memory or a disk"),
    ):
        if members:
            reasons = "; ".join(dict.fromkeys(member.silence for member in members))
            yield Finding(
                check="dead-member", badness=Badness.PROBLEM, what=reasons + what, where=_names(members), advice=advice
            )


def lost_slots(grid: Examined) -> Iterator[Finding]:
    """Slots without an owner: keys of them cannot be used."""
    owned = sum(len(span) for owner in grid.owners for span in owner.slots)
    if grid.is_cluster and owned < SLOTS:
        advice = "cachegrid heal tells more, heal --assign gives them to owners" if grid.host else "CLUSTER ADDSLOTS"
        yield Finding(
            check="lost-slots",
            badness=Badness.PROBLEM,
            what=f"{SLOTS - owned:,} of {SLOTS:,} slots have no owner",
            advice=advice,
        )


def owners_away(grid: Examined) -> Iterator[Finding]:
    """Members that say of the grid that it does not work."""
    failed = [member for member in grid.up if member.health.get("cluster_state", "ok") != "ok"]
    if failed:
        yield Finding(
            check="cut-off",
            badness=Badness.PROBLEM,
            what="sees a grid that does not work: too few owners are heard, or slots are not covered",
            where=_names(failed),
            advice="see that all members reach each other, at their cluster ports too, and start those that are dead",
        )


def disagreement(grid: Examined) -> Iterator[Finding]:
    """Members that do not say the same of who owns what, and who follows whom."""
    told = Counter(_said(member, grid) for member in grid.up if member.view)
    if len(told) > 1:
        (common, _), *_ = told.most_common()
        odd = [member for member in grid.up if member.view and _said(member, grid) != common]
        yield Finding(
            check="disagreement",
            badness=Badness.WARNING,
            what="does not agree with most others on who owns what",
            where=_names(odd),
            advice="look again in a few seconds; if it stays so, see that they reach each other at their cluster ports",
        )


def half_moved(grid: Examined) -> Iterator[Finding]:
    """Slots whose move was cut short."""
    moving = [member for member in grid.up if member.half_moved]
    if moving:
        yield Finding(
            check="half-moved",
            badness=Badness.WARNING,
            what="slots are on their way to or from it",
            where=_names(moving),
            advice="if no rebalance, add or remove is at work: cachegrid rebalance brings that to its end",
        )


def unfinished(grid: Examined) -> Iterator[Finding]:
    """What was begun with members of this host and not ended."""
    for line in grid.unfinished:
        what, _, advice = line.partition("; ")
        yield Finding(
            check="unfinished", badness=Badness.WARNING, what=f"was begun and not ended: {what}", advice=advice
        )


def lonely_owners(grid: Examined) -> Iterator[Finding]:
    """Owners without a replica: their entries are lost with them."""
    lonely = [owner for owner in grid.owners if owner.is_up and not grid.replicas_of(owner)]
    if not lonely:
        return
    # A server that is no cluster tells of its replicas itself.
    if not grid.is_cluster and lonely[0].number("connected_slaves"):
        return
    wanted = grid.replicas if grid.replicas is not None else int(len(lonely) < len(grid.owners))
    yield Finding(
        check="no-replica",
        badness=Badness.WARNING if wanted else Badness.NOTE,
        what="has no replica: if it is lost, its entries are, and its slots cannot be used until it is back",
        where=_names(lonely),
        advice=_advice_on_replicas(is_here=grid.host is not None) if wanted else "up --replicas 1 where that matters",
    )


def few_owners(grid: Examined) -> Iterator[Finding]:
    """Replicas that can never take over: more than half of all owners have to agree that one is dead."""
    if grid.is_cluster and len(grid.owners) < VOTES and any(grid.replicas_of(owner) for owner in grid.owners):
        yield Finding(
            check="few-owners",
            badness=Badness.WARNING,
            what=f"with fewer than {VOTES} owners no replica takes over: too few are left to decide that one is dead",
            where=_names(grid.owners),
            advice="cachegrid add, until there are three" if grid.host else "add owners, until there are three",
        )


def lagging_replicas(grid: Examined) -> Iterator[Finding]:
    """Replicas that do not follow, or are far behind."""
    replicas = [member for member in grid.up if not member.is_owner]
    unlinked = [member for member in replicas if member.info.get("master_link_status", "up") != "up"]
    if unlinked:
        yield Finding(
            check="unlinked-replica",
            badness=Badness.WARNING,
            what="has no link to its owner: what is written meanwhile it does not have",
            where=_names(unlinked),
            advice="look into its log, and whether it reaches its owner; a first copy takes its time",
        )
    by_id = {member.id: member for member in grid.members}
    for replica in replicas:
        lag = _lag(replica, by_id.get(replica.follows))
        if replica not in unlinked and lag > LAG:
            yield Finding(
                check="lagging-replica",
                badness=Badness.WARNING,
                what=f"is {size_text(lag)} behind its owner: that would be lost with it",
                where=(replica.address,),
                advice="look at its network and CPU; writes that must not be lost can wait for it (durability)",
            )


def copies_together(grid: Examined) -> Iterator[Finding]:
    """Copies of the same entries on one host."""
    if not any(not member.is_owner for member in grid.members):
        return
    if len(grid.hosts) == 1:
        yield Finding(
            check="one-host",
            badness=Badness.NOTE,
            what=f"all members run on one host: if {grid.hosts[0]} is lost, all entries are",
            advice="spread a grid over several hosts where entries have to outlive one",
        )
        return
    for owner in grid.owners:
        beside = [replica for replica in grid.replicas_of(owner) if replica.host == owner.host]
        if beside and len(beside) == len(grid.replicas_of(owner)):
            yield Finding(
                check="copies-together",
                badness=Badness.WARNING,
                what=f"all copies of its entries are on {owner.host}, and there are other hosts",
                where=(owner.address, *_names(beside)),
                advice="cachegrid replace a replica of it, or let one follow it that runs elsewhere",
            )


def clocks(grid: Examined) -> Iterator[Finding]:
    """Clocks that are not alike."""
    off = [member for member in grid.up if member.skew is not None and abs(member.skew) - member.blur > SKEW]
    if off:
        worst = max(off, key=lambda member: abs(member.skew or 0))
        skew = worst.skew or 0
        yield Finding(
            check="clock-skew",
            badness=Badness.PROBLEM if abs(skew) > FAR else Badness.WARNING,
            what=f"its clock is {abs(skew):,.1f} s {'ahead of' if skew > 0 else 'behind'} the one here: "
            "entries with an idle time end early or late, and fencing numbers may go back in a failover",
            where=_names(off),
            advice="let all hosts keep their time by NTP",
        )


def full_members(grid: Examined) -> Iterator[Finding]:
    """Members that have nearly no memory left."""
    for member in grid.up:
        limit, used = member.number("maxmemory"), member.number("used_memory")
        if not limit or used < FULL * limit:
            continue
        refuses = member.setting("maxmemory-policy") == "noeviction"
        yield Finding(
            check="memory",
            badness=Badness.PROBLEM if refuses else Badness.WARNING,
            what=f"has {size_text(used)} of {size_text(limit)} in use: "
            + ("soon it refuses writes" if refuses else "entries are evicted before their time"),
            where=(member.address,),
            advice="add owners (cachegrid add), raise maxmemory, or let entries live shorter",
        )


def restarts(grid: Examined) -> Iterator[Finding]:
    """Members that are started again and again."""
    for member in grid.members:
        if member.starts >= STARTS:
            yield Finding(
                check="restarts",
                badness=Badness.WARNING,
                what=f"was started {member.starts} times within the last hour",
                where=(member.address,),
                advice="look into its log, and into the system's for a lack of memory",
            )


def connections(grid: Examined) -> Iterator[Finding]:
    """Members that have as many connections as they take."""
    for member in grid.up:
        most, now = member.number("maxclients"), member.number("connected_clients")
        if most and now > CONNECTIONS * most:
            yield Finding(
                check="connections",
                badness=Badness.WARNING,
                what=f"has {now:,} of {most:,} connections: more are refused",
                where=(member.address,),
                advice="let processes share a grid object, or raise maxclients",
            )


def unsaved(grid: Examined) -> Iterator[Finding]:
    """Members that cannot write to their disk."""
    names = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
    failing = [member for member in grid.up if any(member.info.get(name, "ok") != "ok" for name in names)]
    if failing:
        yield Finding(
            check="unsaved",
            badness=Badness.PROBLEM,
            what="its last write to disk failed: it may refuse writes, and what is in memory alone is lost with it",
            where=_names(failing),
            advice="see whether its disk is full or broken; its log says why",
        )


def _advice_on_dead(*, is_here: bool) -> str:
    return "cachegrid heal starts it again" if is_here else "start it again where it runs"


def _advice_on_replicas(*, is_here: bool) -> str:
    return "cachegrid heal makes replicas that are missing" if is_here else "give each owner a replica"


def _names(members: Iterable[MemberReport]) -> tuple[str, ...]:
    return tuple(member.address for member in members)


def _said(member: MemberReport, grid: Examined) -> tuple[tuple[str, str, tuple[range, ...]], ...]:
    known = {each.id for each in grid.members}
    return tuple(sorted(((id_, *told) for id_, told in member.view.items() if id_ in known), key=lambda row: row[0]))


def _lag(replica: MemberReport, owner: MemberReport | None) -> int:
    if owner is None or not owner.is_up:
        return 0
    return owner.number("master_repl_offset") - replica.number("slave_repl_offset")


CHECKS: Final[tuple[Callable[[Examined], Iterator[Finding]], ...]] = (
    dead_members,
    lost_slots,
    owners_away,
    disagreement,
    half_moved,
    unfinished,
    lonely_owners,
    few_owners,
    lagging_replicas,
    copies_together,
    clocks,
    full_members,
    restarts,
    connections,
    unsaved,
)

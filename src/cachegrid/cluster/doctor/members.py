"""Checks of who is there, who owns and follows whom, and how the members fare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cachegrid._core.units import size_text
from cachegrid.cluster.balance import spans
from cachegrid.cluster.doctor import advice
from cachegrid.cluster.doctor.facts import Badness, Examined, Finding, MemberReport
from cachegrid.cluster.hosts.spreading import needed_hosts
from cachegrid.cluster.loss import CACHES_TOO, share_text
from cachegrid.cluster.standstill import way_on
from cachegrid.cluster.state import option_of
from cachegrid.engines.valkey.slots import SLOTS

__all__ = ["CHECKS"]

VOTES: Final = 3  # owners, of which two can outvote the one that is dead
LAG: Final = 10 << 20  # bytes that a replica may be behind without a word
SKEW, FAR = 1.0, 60.0  # seconds between clocks: good to know, and a problem
FULL: Final = 0.9  # of its memory limit
DEATHS: Final = 2  # within an hour
CONNECTIONS: Final = 0.8  # of those that a member takes


def dead_members(grid: Examined) -> Iterator[Finding]:
    """Members that do not answer."""
    silent = [member for member in grid.members if not member.is_up]
    dead = [member for member in silent if not member.process]
    still, which = [member for member in silent if member.process], option_of(grid.name)
    kinds = [([member], ", and its process is there", way_on(member.process, which)) for member in still]
    for is_on_this_host in (True, False):
        members = [member for member in dead if (member.address in grid.here) is is_on_this_host]
        kinds.append((members, "", advice.for_dead(grid, is_on_this_host=is_on_this_host)))
    for members, what, todo in kinds:
        if members:
            reasons = "; ".join(dict.fromkeys(member.silence for member in members))
            yield Finding(
                check="dead-member", badness=Badness.PROBLEM, what=reasons + what, where=_names(members), advice=todo
            )


def lost_entries(grid: Examined) -> Iterator[Finding]:
    """Slots of which nobody who answers has a copy."""
    alone = [owner for owner in grid.owners if not owner.is_up and not owner.process and not grid.replicas_of(owner)]
    if alone and grid.is_cluster:
        slots = spans({slot for owner in alone for span in owner.slots for slot in span})
        yield Finding(
            check="lost-entries",
            badness=Badness.PROBLEM,
            what=f"nobody who answers has the entries of {share_text(slots)}: {_where_entries_are(grid)}",
            where=_names(alone),
            advice=advice.for_dead(grid, is_on_this_host=all(owner.address in grid.here for owner in alone))
            + ("" if grid.on_disk else ", without what was in it"),
        )


def lost_slots(grid: Examined) -> Iterator[Finding]:
    """Slots without an owner: keys of them cannot be used."""
    if grid.is_cluster and (lost := _without_owner(grid)):
        yield Finding(
            check="lost-slots",
            badness=Badness.PROBLEM,
            what=f"{lost:,} of {SLOTS:,} slots have no owner",
            advice=advice.for_slots(grid),
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
            advice=advice.for_slots(grid)
            if _without_owner(grid)  # some take for their owner who says that it is not
            else "look again in a few seconds; if it stays so, see that they reach each other at their cluster ports",
        )


def unfinished(grid: Examined) -> Iterator[Finding]:
    """What was begun with members of this host and not ended."""
    for line in grid.unfinished:
        what, _, todo = line.partition("; ")
        yield Finding(check="unfinished", badness=Badness.WARNING, what=f"was begun and not ended: {what}", advice=todo)


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
        advice=("" if wanted else "where that matters: ") + advice.for_replicas(grid, wanted=1),
    )


def few_owners(grid: Examined) -> Iterator[Finding]:
    """Replicas that can never take over: more than half of all owners have to agree that one is dead."""
    if grid.is_cluster and len(grid.owners) < VOTES and any(grid.replicas_of(owner) for owner in grid.owners):
        yield Finding(
            check="few-owners",
            badness=Badness.WARNING,
            what=f"with fewer than {VOTES} owners no replica takes over: too few are left to decide that one is dead",
            where=_names(grid.owners),
            advice=advice.by_hand(
                grid,
                f"let other hosts join ({advice.command(grid, 'token')}), until there are three"
                if grid.is_spread
                else f"{advice.command(grid, 'add')}, until there are three",
                "add owners, until there are three",
            ),
        )


def other_shape(grid: Examined) -> Iterator[Finding]:
    """Fewer owners than a grid of this host was given, and members of it that nobody started here."""
    short = 0 if grid.wanted is None or grid.unfinished else grid.wanted - len(grid.owners)
    if short > 0 and not _without_owner(grid):
        yield Finding(
            check="shape",
            badness=Badness.WARNING,
            what=f"has {len(grid.owners)} owners of slots, and is to have {grid.wanted}: some have been emptied",
            advice=f"{advice.command(grid, 'heal')} gives them slots again; for fewer of them, remove some after that",
        )
    guests = [member for member in grid.members if member.address not in grid.here]
    if guests and grid.wanted is not None:
        yield Finding(
            check="stranger",
            badness=Badness.WARNING,
            what="is in the grid, and was not started by it: nothing here starts it again, or ends it",
            where=_names(guests),
            advice="let it give its slots away before it ends: cachegrid remove MEMBER --url "
            f'"$({advice.command(grid, "url --show-password")})"',
        )


def needed_host(grid: Examined) -> Iterator[Finding]:
    """Hosts whose loss ends the grid, though others have copies: those that are left cannot decide on a takeover."""
    needed = needed_hosts([owner.host for owner in grid.owners])
    is_copied = any(grid.replicas_of(owner) for owner in grid.owners)
    if needed and is_copied and grid.is_cluster and len(grid.hosts) > 1 and len(grid.owners) >= VOTES:
        joining = f"let other hosts join ({advice.command(grid, 'token')}), until there are three"
        spreading = f"{advice.command(grid, 'heal')} spreads owners over the hosts"
        yield Finding(
            check="needed-host",
            badness=Badness.WARNING,
            what="if it is lost, nobody takes over from it: the others would not be most of the owners",
            where=tuple(needed),
            advice=advice.by_hand(
                grid,
                joining if len(grid.hosts) < VOTES else spreading,
                "spread owners over three hosts or more, on none of them half of all",
            ),
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
            advice="where entries have to outlive one: "
            + advice.by_hand(grid, f"let others join ({advice.for_hosts(grid)})", "run members on others"),
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
                advice=advice.by_hand(grid, advice.command(grid, "heal"), "let one follow it that runs elsewhere"),
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
            advice=advice.for_memory(grid),
        )


def restarts(grid: Examined) -> Iterator[Finding]:
    """Members that die again and again, and are started again; not those that are restarted in order."""
    for member in grid.members:
        if member.deaths >= DEATHS:
            yield Finding(
                check="restarts",
                badness=Badness.WARNING,
                what=f"died {member.deaths} times within the last hour, and was started again",
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


def _without_owner(grid: Examined) -> int:
    return SLOTS - sum(len(span) for owner in grid.owners for span in owner.slots)


def _where_entries_are(grid: Examined) -> str:
    """Those that no living member has."""
    if grid.on_disk:
        return "they are on disk alone"
    sure = grid.is_here and not grid.is_spread
    unless = "" if sure else ", unless they are on disk, or with a member that cannot be reached from here"
    return f"they are lost{unless}; {CACHES_TOO}"


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
    lost_entries,
    lost_slots,
    disagreement,
    unfinished,
    lonely_owners,
    few_owners,
    other_shape,
    needed_host,
    lagging_replicas,
    copies_together,
    clocks,
    full_members,
    restarts,
    connections,
)

"""Members of a grid of this host come, go, hand over and are restarted: add, remove, failover and more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from cachegrid.cli.exits import Exit, ending_cleanly, fail
from cachegrid.cli.options import Config, Json, Name, Server, Url
from cachegrid.cli.rebalance import DryRun, Fast

if TYPE_CHECKING:
    from cachegrid.cluster import GridState, Operation, Way

__all__ = ["add", "failover", "heal", "remove", "replace", "restart", "show_plan"]

# Named only to be refused with a better word than that nobody knows it.
NoUrl: TypeAlias = Annotated[str | None, typer.Option("--url", hidden=True)]
# What to do instead where others start and end the members.
ELSEWHERE = {
    "add": "start members there, let them join (CLUSTER MEET, CLUSTER REPLICATE), then: cachegrid rebalance --url ...",
    "replace": "let a fresh replica follow the owner there, then: cachegrid failover --url ... of that replica",
    "heal": "start dead members there; cachegrid doctor --url ... says what is wrong",
    "restart": "restart its replicas there; before an owner: cachegrid failover --url ...",
}

Member = Annotated[str, typer.Argument(metavar="MEMBER", help="host:port as status shows it, or the port, or the id.")]


def add(
    *,
    count: Annotated[int, typer.Option(min=1, help="How many owners.")] = 1,
    fast: Fast = False,
    url: NoUrl = None,
    name: Name = None,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """
    Let a grid of this host grow.

    New owners are started, each with as many replicas as the others have, and get their share of the slots, while
    programs go on. Each may take as much memory as each of the others. Interrupted, the same command goes on.
    """
    from cachegrid.cluster import add as begin

    chosen = _name("add", name, config, url)
    _operate(chosen, partial(begin, chosen, count), "has grown", dry_run=dry_run, as_json=as_json, fast=fast)


def remove(
    member: Member,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Though an owner then lacks a replica, or the others lack memory.")
    ] = False,
    fast: Fast = False,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """
    Take a member out of a grid of this host.

    An owner gives its slots to the others first, and its replicas leave with it; nobody ends who owns a slot.
    Interrupted, the same command goes on. With --url also in a grid that others run, who end it then.
    """
    if _is_foreign(url, name, config):
        from cachegrid.cli.handing import empty_elsewhere

        empty_elsewhere(member, url, name, config, force=force, fast=fast, dry_run=dry_run, as_json=as_json)
        return
    from cachegrid.cluster import remove as begin

    chosen = _name("remove", name, config, url)
    act = partial(begin, chosen, member, force=force)
    _operate(chosen, act, "has shrunk", dry_run=dry_run, as_json=as_json, fast=fast)


def failover(
    member: Member,
    *,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """
    Let an owner hand over to its replica.

    No write is lost: they wait until the replica has them all. Said of a replica, it takes over from its owner. With
    --url also in a grid that others run.
    """
    if _is_foreign(url, name, config):
        from cachegrid.cli.handing import failover_elsewhere

        failover_elsewhere(member, url, name, config, dry_run=dry_run, as_json=as_json)
        return
    from cachegrid.cluster import failover as begin

    chosen = _name("failover", name, config, url)
    _operate(chosen, partial(begin, chosen, member), "has handed over", dry_run=dry_run, as_json=as_json)


def replace(
    member: Member,
    *,
    url: NoUrl = None,
    name: Name = None,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """
    Put a fresh member in the place of one of a grid of this host.

    It copies what the other's owner has, takes over where that is the owner, and then the other leaves: no write is
    lost.
    """
    from cachegrid.cluster import replace as begin

    chosen = _name("replace", name, config, url)
    _operate(chosen, partial(begin, chosen, member), "has a fresh member", dry_run=dry_run, as_json=as_json)


def heal(
    *,
    assign: Annotated[
        bool, typer.Option("--assign", help="Give slots without an owner to owners; what was in them is lost.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Assign though most owners, on other hosts, do not answer: they are lost.")
    ] = False,
    url: NoUrl = None,
    name: Name = None,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """
    Make a grid of this host whole again.

    Dead members are started, replicas that owners lack are made anew, and slots without an owner are told of. The exit
    code is 1 if any are left.
    """
    from cachegrid.cluster import heal as begin
    from cachegrid.cluster import lost_slots

    chosen = _name("heal", name, config, url)
    act = partial(begin, chosen, assign=assign, force=force)
    state = _operate(chosen, act, _healed, dry_run=dry_run, as_json=as_json)
    if not dry_run and (lost := sum(map(len, lost_slots(state)))):
        whom = "no owner that answers" if state.spread else "no owner"
        fail(f"{lost:,} slots have {whom}: --assign gives them to owners, without what was in them")
        raise typer.Exit(Exit.NO)


def restart(
    *,
    rolling: Annotated[bool, typer.Option("--rolling", help="One member after the other; has to be said.")] = False,
    server: Server = None,
    force: Annotated[bool, typer.Option("--force", help="Owners without a replica, too.")] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Without rests: sooner done, and programs wait more often.")
    ] = False,
    url: NoUrl = None,
    name: Name = None,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """
    Restart the members of a grid of this host, one after the other.

    Replicas first, then each owner once a replica has taken over from it: no write is lost, and programs go on. With
    --server that program is run from then on; members that run it already are left alone.
    """
    from cachegrid.cluster import restart as begin
    from cachegrid.errors import ConfigError

    if not rolling:
        why = "members restart one by one then; all at once, by down and up, entries are kept only with --persist"
        raise ConfigError.unsaid("--rolling", why)
    chosen = _name("restart", name, config, url)
    act = partial(begin, chosen, server=server, force=force, fast=fast)
    _operate(chosen, act, "is restarted", dry_run=dry_run, as_json=as_json)


def _is_foreign(url: str | None, name: str | None, config: str | None) -> bool:
    """Whether a grid is meant that is only known by its URL."""
    from cachegrid.cli.reach import said
    from cachegrid.engines.valkey.url import SCHEMES, grid_in

    settings = said(url, name, config)
    return settings.url is not None and not (
        settings.url.partition("://")[0] in SCHEMES and grid_in(settings.url) is not None
    )


def _name(command: str, name: str | None, config: str | None, url: str | None) -> str:
    """The name of the grid of this host that is meant. Raises GridNotFound, or Unsupported for another."""
    from cachegrid.cli.reach import local_state, said
    from cachegrid.engines.valkey.url import grid_in
    from cachegrid.errors import Unsupported
    from cachegrid.opening import check_fits

    settings = said(url, name, config)
    if settings.url is not None:
        if _is_foreign(url, name, config):
            raise Unsupported(
                f"{command} works on grids of this host (--name), not on one known by its URL: {ELSEWHERE[command]}"
            )
        state = local_state(said(None, grid_in(settings.url), config))
        check_fits(settings.url, state)
        return state.name
    return local_state(settings).name


def _healed(state: GridState) -> str:
    """What has come of a grid that was healed; across hosts others may be away, or have to be healed there."""
    from cachegrid.cluster import lost_slots

    return "is as whole as it can be" if state.spread or lost_slots(state) else "is whole again"


def _operate(
    name: str,
    act: Callable[..., GridState],
    done: str | Callable[[GridState], str],
    *,
    dry_run: bool,
    as_json: bool,
    fast: bool = False,
) -> GridState:
    """Show the plan, carry it out, and say what it came to."""
    from cachegrid.cli.operating import bar
    from cachegrid.cluster import Way
    from cachegrid.cluster.operation import size_told

    told: list[Operation] = []
    begun = time.monotonic()
    with ending_cleanly(), bar(name, quiet=as_json or dry_run) as progress:
        shown = progress or (lambda *_: None)
        way = Way(is_rehearsal=dry_run, tell=partial(show_plan, told, quiet=as_json), progress=shown, is_fast=fast)
        state = _carried_out(act, way, told)
    seconds = time.monotonic() - begun
    if as_json:
        print(json.dumps(_told(state, told[0], dry_run=dry_run, seconds=seconds), indent=2))
    elif told[0].steps and not dry_run:
        came_to = done if isinstance(done, str) else done(state)
        print(f"grid {name} {came_to} after {seconds:.1f} s: {size_told(state)}")
    return state


def _carried_out(act: Callable[..., GridState], way: Way, told: list[Operation]) -> GridState:
    try:
        return act(way=way)
    except (KeyboardInterrupt, SystemExit):
        if told and told[0].steps:
            fail("stopped: nothing is lost; run it again to go on")
        raise


def show_plan(told: list[Operation], operation: Operation, *, quiet: bool) -> None:
    """Keep the plan of an operation and, unless `quiet`, print it, with what the host may not have for it."""
    told.append(operation)
    if not quiet:
        steps = [f"  {number}. {step}" for number, step in enumerate(operation.steps, 1)]
        warnings = [f"  warning: {warning}" for warning in operation.warnings]
        print("\n".join([f"grid {operation.grid}:", *steps, *warnings] if steps else ["nothing to do"]), flush=True)


def _told(state: GridState, operation: Operation, *, dry_run: bool, seconds: float) -> dict[str, Any]:
    """For programs."""
    from cachegrid.cluster import members as look

    told = {each.id: each for each in look(state)}
    shape = operation.shape
    rows = [
        {
            "address": member.address,
            "id": member.id,
            "role": told[member.id].role,
            "up": told[member.id].up,
            "slots": told[member.id].slots,
            "phase": member.phase.value,
        }
        for member in state.members
    ]
    after = {"owners": shape.owners, "replicas": shape.replicas, "memory": shape.memory}
    return {
        "name": state.name,
        "url": state.url,
        "dry_run": dry_run,
        "steps": list(operation.steps),
        "warnings": list(operation.warnings),
        "after": after,
        "seconds": round(seconds, 3),
        "members": rows,
    }

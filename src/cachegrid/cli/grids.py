"""Grids on this host: up, down, status, url."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cachegrid.cli.exits import Exit, ending_cleanly, fail
from cachegrid.cli.options import (
    BasePort,
    Config,
    Fsync,
    Host,
    Json,
    Members,
    Memory,
    Name,
    Persist,
    Plaintext,
    Replicas,
    Server,
    Tls,
    Url,
    WhenFull,
)

if TYPE_CHECKING:
    from cachegrid.cli.starting import Started
    from cachegrid.cluster import GridState
    from cachegrid.engines.facts import MemberFacts

__all__ = ["down", "progress_shown", "status", "tell", "up", "url"]


def up(
    *,
    members: Members = None,
    replicas: Replicas = None,
    memory: Memory = None,
    name: Name = None,
    persist: Persist = False,
    fsync: Fsync = None,
    when_full: WhenFull = None,
    base_port: BasePort = None,
    host: Host = None,
    tls: Tls = None,
    plaintext: Plaintext = False,
    force: Annotated[
        bool, typer.Option("--force", help="Though copies on other hosts, which are out of reach, are lost by it.")
    ] = False,
    server: Server = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Start a grid on this host.

    It outlives this command. Of one that runs already, only dead members are started again; one that --persist kept
    on disk comes back with its entries. With --host other hosts can join it (see `token` and `join`), and
    --members, --replicas and --memory are the part of this host.
    """
    from cachegrid._core.units import bytes_of
    from cachegrid.cli.starting import shape_for, started, tls_for
    from cachegrid.cluster import start
    from cachegrid.config import DEFAULT_NAME, load_settings

    chosen = load_settings(None, name, config).name or DEFAULT_NAME
    limit = None if memory is None else bytes_of("--memory", memory)
    shape = shape_for(
        chosen, members, replicas, persist=persist, fsync=fsync, when_full=when_full, is_spread=host is not None
    )
    _warn(chosen, shape, limit, base_port)
    begin = partial(start, chosen, memory=limit, host=host, tls=tls_for(host, tls), plaintext=plaintext, **shape)
    with ending_cleanly(), progress_shown(quiet=as_json) as progress:
        done = started(chosen, partial(begin, base_port=base_port, server=server, force=force, progress=progress))
    tell(done, as_json=as_json)


def _warn(name: str, shape: dict[str, Any], memory: int | None, base_port: int | None) -> None:
    """Say on stderr what a grid that is about to be started asks of this host that it may not have."""
    from cachegrid.cluster import find
    from cachegrid.cluster.burden import burdens, port_burdens, vote_lacks
    from cachegrid.cluster.plan import Shape
    from cachegrid.cluster.ports import bus_from

    if find(name):  # it is up, and nothing is started but what died
        return
    members = Shape(owners=shape["owners"], replicas=shape["replicas"]).members
    warnings = vote_lacks(shape["owners"], shape["replicas"])
    warnings += burdens(members, memory=memory, replicas=shape["replicas"])
    if base_port is not None:
        bus = bus_from(base_port, members)
        warnings += port_burdens([*range(base_port, base_port + members), *range(bus, bus + members)])
    for warning in warnings:
        fail(f"warning: {warning}")


def tell(done: Started, *, as_json: bool) -> None:
    """What `up` came to, and the grid as it is now."""
    from cachegrid.cli import show
    from cachegrid.cli.reviving import ways_back

    name, url, facts = done.state.name, done.state.url, _look(done.state)
    if as_json:
        _print_json(_told(name, url, facts, whole=show.is_whole(facts)) | done.told)
    else:
        show.console().print(show.up_list(name, url, facts, done.in_words), soft_wrap=True)
        for line in [*ways_back(done.state, facts), *_risk(done.state, facts)]:
            show.console().print(line, soft_wrap=True, markup=False)


def down(
    *,
    name: Name = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove also what --persist kept on disk, and forget ports and password.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="All grids of this user on this host.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Though an owner has no copy on another host, and its entries are lost.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Stop a grid on this host.

    Its ports and its password are kept, so that programs go on when it is started again. Of a grid that is on other
    hosts, too, only the members of this one are stopped, their owners handing over first; see also `leave`.
    """
    from cachegrid.cli.reach import names_to_stop
    from cachegrid.cluster import stop
    from cachegrid.cluster.identity import remembered
    from cachegrid.cluster.state import names, state_root
    from cachegrid.errors import GridError

    there = names(state_root())
    known = {*there, *(remembered(state_root()) if purge else [])}
    stopped, failed = [], False
    for chosen in sorted(known) if every else names_to_stop(name, config, purge=purge):
        try:
            stop(chosen, purge=purge, force=force)
            stopped.append(chosen)
        except GridError as error:
            if not every:
                raise
            fail(str(error))
            failed = True
    if as_json:
        _print_json({"stopped": stopped})
    else:
        ends = {each: _kept_of(each) if each in there else "forgotten" for each in stopped}
        print("\n".join(f"grid {each} is {end}" for each, end in ends.items()) or "no grid is there")
    if failed:
        raise typer.Exit(Exit.REFUSED)


def _kept_of(name: str) -> str:
    """What has become of a grid that was stopped."""
    from cachegrid.cluster.state import load, state_root
    from cachegrid.errors import GridError

    state = None
    with suppress(GridError):  # what cannot be read is kept, too
        state = load(state_root(), name)
        if state is None:
            return "stopped"
    kept = ", and its entries are kept on disk" if state is None or state.persist else ""
    return f"stopped on this host{kept}" if state and state.spread else f"stopped{kept}"


def status(
    *,
    url: Url = None,
    name: Name = None,
    config: Config = None,
    as_json: Json = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 unless all members are up and all slots are owned.")
    ] = False,
) -> None:
    """
    Show the members of a grid.

    Their roles, slots, entries, memory, how far replicas lag behind their owners, and who is dead.
    """
    from cachegrid.cli import show
    from cachegrid.cli.reviving import ways_back
    from cachegrid.cluster.growth import still_begun
    from cachegrid.cluster.loss import emptied_slots, share_text

    known, where, facts, state = _looked_at(url, name, config)
    thin = show.thin_owners(facts, state.shape.replicas) if state and not state.spread else []
    whole = show.is_whole(facts) and not thin
    begun = still_begun(state) if state else []
    if as_json:
        _print_json(_told(known, where, facts, whole=whole) | ({"unfinished": begun} if state else {}))
    else:
        out = show.console()
        out.print(f"grid [bold]{known or where}[/]: {show.summary(facts)}", soft_wrap=True)
        out.print(show.members_table(facts, out.width))
        lost = emptied_slots(state) if state and not all(member.up for member in facts) else []
        for line in [
            *(ways_back(state, facts) if state else []),
            *(_thin_told(state, thin) if state and thin and show.is_whole(facts) else []),
            *([f"nobody has the entries of {share_text(lost)}: they are lost"] if lost else []),
            *begun,
            *(_risk(state, facts) if state else []),
        ]:
            out.print(line, soft_wrap=True, markup=False)  # an IPv6 address is none
    if check and not whole:
        raise typer.Exit(Exit.NO)


def _thin_told(state: GridState, owners: list[str]) -> list[str]:
    """What is missing where all members are up, and what gives it back."""
    fewer = f"{', '.join(owners)}: fewer replicas follow than the grid is to have, {state.shape.replicas} each"
    return [f"{fewer}; give them theirs with: cachegrid heal{state.option}"]


def _risk(state: GridState, facts: list[MemberFacts]) -> list[str]:
    """Which host the grid does not outlive, where it is on several; or how others come to be part of it."""
    from cachegrid.cluster.hosts.spreading import needed_hosts

    needed = needed_hosts([member.host for member in facts if member.role == "owner" and member.slots])
    if not needed or not state.spread:
        return []
    if len({member.host for member in facts}) == 1:
        return [f"other hosts join it with what this prints: cachegrid token{state.option}"]
    lost = f"if {' or '.join(needed)} is lost, nobody takes over from it"
    return [f"{lost}: the others would not be most of the owners; three hosts can lose any one"]


def url(
    *,
    url: Url = None,
    name: Name = None,
    show_password: Annotated[
        bool, typer.Option("--show-password", help="With the password in it, for programs on other hosts.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Print the URL of a grid.

    For `connect(url)` and CACHEGRID_URL. The password is not in it: programs of this user on this host find it.
    """
    from cachegrid.cli.reach import said, url_of

    known, text = url_of(said(url, name, config), with_password=show_password)
    if as_json:
        _print_json({"name": known, "url": text})
    else:
        print(text)


def _looked_at(
    url: str | None, name: str | None, config: str | None
) -> tuple[str, str, list[MemberFacts], GridState | None]:
    """The name, the URL and the members of the grid that is meant; of one on this host, what is written down of it."""
    from cachegrid.cli.reach import local_state, reached, said

    settings = said(url, name, config)
    if settings.url is None:
        state = local_state(settings)
        return state.name, state.url, _look(state), state
    with reached(url, name, config) as grid:
        return grid.name, grid.url, grid.members(), None


def _look(state: GridState) -> list[MemberFacts]:
    """The facts of all members of a grid, on other hosts too."""
    from cachegrid.cluster import members as look
    from cachegrid.config import Settings
    from cachegrid.errors import EngineError

    if state.spread:
        from cachegrid import connect
        from cachegrid.cluster.view import members_if_alone

        if (alone := members_if_alone(state)) is not None:  # a program would wait for the others as long as it may
            return alone
        with suppress(EngineError), connect(config=Settings(name=state.name)) as grid:
            own = {member.id: member for member in look(state) if member.up}  # asked by themselves: it may be cut off
            return [member if member.up else own.get(member.id, member) for member in grid.members()]
    return look(state)


def _told(name: str, url: str, members: list[MemberFacts], *, whole: bool) -> dict[str, Any]:
    return {
        "name": name,
        "url": url,
        "whole": whole,
        "members": [asdict(member) for member in members],
    }


def _print_json(told: object) -> None:
    print(json.dumps(told, indent=2))


@contextmanager
def progress_shown(*, quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """How far the start is, on a terminal."""
    from cachegrid.cli import show

    out = show.console(stderr=True)
    if quiet or not out.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=out, transient=True
    ) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)

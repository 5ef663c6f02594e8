"""Grids across hosts: token, join, leave, certificates and units."""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cachegrid.cli.exits import ending_cleanly, saying_if_stopped
from cachegrid.cli.operate import show_plan
from cachegrid.cli.options import BasePort, Config, Json, Memory, Name, Server
from cachegrid.cli.rebalance import DryRun

if TYPE_CHECKING:
    from cachegrid.cluster.operation import Operation

__all__ = ["join", "leave", "systemd", "tls", "token"]

TOKEN = "CACHEGRID_TOKEN"  # noqa: S105 - the name of it
HOUR = "1h"


def token(
    *,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of the host that is to join; with TLS it has to be said.")
    ] = None,
    lasts: Annotated[str, typer.Option(metavar="TIME", help='How long it is good, such as "10m".')] = HOUR,
    name: Name = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Print a token with which other hosts can join a grid of this host.

    Whoever has it can have the grid, until it ends. It is of the member whose address is printed with it. With TLS the
    other host gets its certificate so: see `cachegrid tls`.
    """
    from cachegrid._core.units import seconds_of
    from cachegrid.cli.reach import local_state, said
    from cachegrid.cluster.hosts.tokens import issue

    ends = seconds_of("--lasts", lasts)
    where, made = issue(local_state(said(None, name, config)).name, host=host, ends=ends)
    if as_json:
        print(json.dumps({"address": where, "token": made, "ends": time.time() + ends}))
        return
    sys.stderr.write(f"on the other host: cachegrid join {where}, which asks for this (good for {lasts}):\n")
    print(made)


def tls(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files are, or are to be.")],
    addresses: Annotated[
        list[str] | None, typer.Argument(metavar="[ADDRESS]...", help="The IP address of each host.")
    ] = None,
    *,
    days: Annotated[int, typer.Option(min=1, metavar="N", help="How long hosts' certificates are good.")] = 825,
    as_json: Json = False,
) -> None:
    """
    Make certificates for the hosts of a grid, for `up --tls DIR`.

    The authority in DIR is made once. Keep ca.key there, on one host alone: it can make more, and `token` does so.
    """
    from cachegrid.cluster.hosts.certificates import LOOPBACKS, authority, certify

    made = [folder / name for name in ("ca.pem", "ca.key")] if authority(folder) else []
    for address in addresses or []:
        files = certify(folder, address, *LOOPBACKS, names=["localhost"], days=days)
        made += [files.cert, files.key]
    if as_json:
        print(json.dumps({"made": [str(path) for path in made]}))
    else:
        print("\n".join(map(str, made)) or f"the authority in {folder} is there already")


def systemd(
    *,
    folder: Annotated[
        str | None, typer.Option("--dir", metavar="DIR", help="Write the files there, such as /etc/systemd/system.")
    ] = None,
    user: Annotated[bool, typer.Option("--user", help="For `systemctl --user`.")] = False,
    name: Name = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """
    Print systemd units for a grid of this host.

    They start it with the host, start members again that died, and take it down in order: see docs/deploy.md.
    """
    from cachegrid.cli.reach import local_state, said
    from cachegrid.cluster.systemd import units

    made = units(local_state(said(None, name, config)), for_user=user)
    if folder is not None:
        _write(Path(folder), made)
    if as_json:
        print(json.dumps({"units": made}))
    elif folder is not None:
        print("\n".join(str(Path(folder) / each) for each in made))
    else:
        print("\n".join(f"# {each}\n{text}" for each, text in made.items()), end="")


def _write(folder: Path, made: dict[str, str]) -> None:
    from cachegrid.errors import ConfigError

    try:
        for each, text in made.items():
            (folder / each).write_text(text)
    except OSError as error:
        raise ConfigError("--dir", str(folder), f"a folder that can be written to ({error.strerror})") from error


def join(
    where: Annotated[str, typer.Argument(metavar="ADDRESS:PORT", help="The member that the token is of.")],
    *,
    token_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help=f"The token; - for standard input. Else ${TOKEN}, else asked for."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of this host, for the others. [the one it reaches them from]")
    ] = None,
    members: Annotated[int, typer.Option(metavar="N", help="How many owners this host gets.")] = 1,
    replicas: Annotated[int, typer.Option(metavar="N", help="How many replicas for each; they copy other hosts.")] = 1,
    memory: Memory = None,
    base_port: BasePort = None,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """
    Let this host be part of a grid that runs on others.

    Members are started here, replicas are put on hosts other than their owners', and slots move until every owner has
    as many as the others, while programs use the grid. Run again, it goes on.
    """
    from cachegrid._core.units import bytes_of
    from cachegrid.cli.grids import progress_shown, tell
    from cachegrid.cli.starting import Started
    from cachegrid.cluster.hosts.joining import Part
    from cachegrid.cluster.hosts.joining import join as begin
    from cachegrid.cluster.operation import Way

    limit = None if memory is None else bytes_of("--memory", memory)
    part = Part(owners=members, replicas=replicas, memory=limit, host=host, base_port=base_port, server=server)
    said, begun, told = _token(token_file), time.monotonic(), list["Operation"]()
    with ending_cleanly(), progress_shown(quiet=as_json) as progress:
        way = Way(tell=partial(show_plan, told, quiet=as_json), progress=progress or (lambda *_: None))
        with saying_if_stopped(partial(_stopped_text, told)):
            state = begin(where, said, part, way=way)
    tell(Started(state=state, seconds=time.monotonic() - begun, was_up=False), as_json=as_json)


def _stopped_text(told: list[Operation]) -> str:
    """What a join that was stopped has left, and what to do."""
    from cachegrid.cluster.state import load, state_root

    state = load(state_root(), told[0].grid) if told else None
    if told and (state is None or not state.ready):
        return "stopped: nothing of the grid is left on this host; the same command begins anew"
    leaves = f", and `cachegrid leave{state.option}` takes it out again" if state else ""
    return f"stopped: this host may be a part of the grid already; the same command goes on{leaves}"


def leave(
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDRESS]", help="Another host, which is lost: it is forgotten.")
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Though others have no room for it all, and evict.")] = False,
    name: Name = None,
    config: Config = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """
    Take this host out of a grid that goes on elsewhere.

    Its slots go to owners on other hosts while programs use them, replicas there copy others, and then its members end.
    What others have no room for is not given to them. Stopped, it goes on when it is run again.
    """
    from cachegrid.cli.operating import bar
    from cachegrid.cli.reach import said
    from cachegrid.cluster.hosts.leaving import leave as begin
    from cachegrid.cluster.operation import Way
    from cachegrid.config import DEFAULT_NAME

    chosen, told = said(None, name, config).name or DEFAULT_NAME, list["Operation"]()
    with ending_cleanly(), bar(chosen, quiet=as_json or dry_run) as progress:
        shown = partial(show_plan, told, quiet=as_json)
        way = Way(is_rehearsal=dry_run, tell=shown, progress=progress or (lambda *_: None))
        with saying_if_stopped(lambda: "stopped: nothing is lost; the same command goes on"):
            state = begin(chosen, address, force=force, way=way)
    gone = address or state.host
    if as_json:
        print(json.dumps({"name": chosen, "host": gone, "dry_run": dry_run, "steps": list(told[0].steps)}))
    elif not dry_run:
        print(f"{gone} is no host of grid {chosen} any more")


def _token(file: str | None) -> str:
    """The token, from where it is in no command line that others could see."""
    from cachegrid.errors import ConfigError

    if file == "-":
        return sys.stdin.readline()
    if file is not None:
        try:
            return Path(file).read_text()
        except (OSError, ValueError) as error:
            raise ConfigError("--token-file", file, f"a file that can be read ({error})") from error
    if said := os.environ.get(TOKEN):
        return said
    if not sys.stdin.isatty():
        raise ConfigError.unsaid("--token-file", f"{TOKEN} is not set, and nobody can be asked for the token here")
    import getpass

    return getpass.getpass("token: ")

"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from cachegrid.cli.words import KeyType

__all__ = [
    "BasePort",
    "CacheName",
    "Config",
    "Fsync",
    "Host",
    "Json",
    "KeyKind",
    "KeyText",
    "Members",
    "Memory",
    "Name",
    "Persist",
    "Plaintext",
    "Replicas",
    "Server",
    "Tls",
    "Url",
    "WhenFull",
]

Url: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The grid at this address, such as valkey://host:port. [CACHEGRID_URL]"),
]
Name: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="The grid of this name on this host. [CACHEGRID_NAME]")
]
Config: TypeAlias = Annotated[
    str | None, typer.Option(metavar="FILE", help="Settings, instead of the nearest cachegrid.toml. [CACHEGRID_CONFIG]")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
CacheName: TypeAlias = Annotated[str, typer.Argument(help="The name of the cache.")]
KeyText: TypeAlias = Annotated[str, typer.Argument(help="The key; text, unless --key-type says otherwise.")]
KeyKind: TypeAlias = Annotated[
    KeyType,
    typer.Option("--key-type", "-k", help='What KEY is: "5" the text or 5 the number? json: ["a", 5] is a tuple.'),
]

# Of a grid that is started.
Members: TypeAlias = Annotated[
    int | None, typer.Option(metavar="N", help="How many owners, which share the entries. [3, or as kept on disk]")
]
Replicas: TypeAlias = Annotated[
    int | None, typer.Option(metavar="N", help="How many replicas each owner has. [1, or as kept on disk]")
]
Memory: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help='For entries, all owners together, such as "2GB"; 0: no limit. Else a quarter of what is there.',
    ),
]
Persist: TypeAlias = Annotated[bool, typer.Option("--persist", help="Keep entries on disk, through down and up.")]
Fsync: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help='With --persist: each "write" is on disk before its answer, or each "second".'),
]
WhenFull: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="HOW", help='"evict" what was not used for longest, or "refuse" more. [evict]'),
]
BasePort: TypeAlias = Annotated[
    int | None, typer.Option(metavar="PORT", help="The first of consecutive ports; else free ones are found.")
]
Host: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of this host, at which others reach it; without, none does."),
]
Tls: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Speak TLS, with the certificates that `cachegrid tls` made in this folder."),
]
Plaintext: TypeAlias = Annotated[
    bool, typer.Option("--plaintext", help="Passwords and entries may travel between hosts without TLS.")
]
Server: TypeAlias = Annotated[
    str | None, typer.Option(metavar="PROGRAM", help="The valkey-server or redis-server to run. [CACHEGRID_SERVER]")
]

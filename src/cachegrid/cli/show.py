"""What people see: tables and lists made of plain values. Nothing here asks a grid, or prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.pretty import Pretty
from rich.table import Table
from rich.text import Text

from cachegrid._core.units import size_text
from cachegrid.engines.facts import MemberFacts

if TYPE_CHECKING:
    from cachegrid._core.entry import Entry

__all__ = [
    "console",
    "entry_table",
    "facts_list",
    "fitting",
    "is_whole",
    "members_table",
    "summary",
    "thin_owners",
    "up_list",
    "value",
]

SLOTS = 16384
WIDE = 1_000_000  # columns where there is no terminal: whoever reads the output there wants whole lines
PADDING = 1  # columns between two of a table, beside the one that is under the line
TO_THE_RIGHT = {"slots", "entries", "memory", "lag", "pid"}
# What a narrow terminal does without, the first one first; `--json` has it all.
DISPENSABLE = ("pid", "of", "lag", "memory", "slots", "entries", "role")


def console(*, stderr: bool = False) -> Console:
    """Where to print; without a terminal there are neither colours nor control codes."""
    shown = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return shown if shown.is_terminal else Console(stderr=stderr, highlight=False, width=WIDE, no_color=True)


def counted(number: int, noun: str) -> str:
    """
    A number of things.

    >>> counted(1, "entry"), counted(1200, "entry"), counted(2, "owner"), counted(0, "process")
    ('1 entry', '1,200 entries', '2 owners', '0 processes')
    """
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def address(member: MemberFacts) -> str:
    """`host:port`."""
    return f"[{member.host}]:{member.port}" if ":" in member.host else f"{member.host}:{member.port}"


def is_whole(members: Sequence[MemberFacts]) -> bool:
    """Whether every member answers, every slot has an owner, and every replica follows one."""
    slots = sum(member.slots for member in members)
    # A server that is no cluster has no slots.
    return bool(members) and slots in (0, SLOTS) and all(member.up and member.link_up for member in members)


def thin_owners(members: Sequence[MemberFacts], replicas: int) -> list[str]:
    """Addresses of owners of slots with fewer replicas than `replicas`."""
    following = Counter(member.owner_id for member in members if member.role == "replica")
    return [address(member) for member in members if member.slots and following[member.id] < replicas]


def summary(members: Sequence[MemberFacts]) -> str:
    """The grid in one line."""
    alive = [member for member in members if member.up]
    owners = [member for member in alive if member.role == "owner"]
    parts = [
        counted(len(owners), "owner"),
        counted(len(alive) - len(owners), "replica"),
        counted(sum(owner.entries for owner in owners), "entry"),
        _memory(owners),
    ]
    if copies := sum(member.memory_bytes for member in alive if member not in owners):
        parts[-1] += f" and {size_text(copies)} in copies"
    if dead := len(members) - len(alive):
        parts.append(f"{dead} dead")
    owned = sum(owner.slots for owner in owners)
    if 0 < owned < SLOTS:
        parts.append(f"{SLOTS - owned:,} of {SLOTS:,} slots without an owner")
    return ", ".join(parts)


def _memory(owners: Sequence[MemberFacts]) -> str:
    """What entries take at their owners, and what they may take if each has a limit: `--memory` of `up`."""
    taken = size_text(sum(member.memory_bytes for member in owners))
    limits = [member.memory_limit_bytes for member in owners]
    return f"{taken} of {size_text(sum(limits))}" if limits and all(limits) else taken


def members_table(members: Sequence[MemberFacts], width: int) -> RenderableType:
    """One line for each member; what does not fit into `width` columns is left out, and it is said what that is."""
    return fitting(
        _member_columns(members),
        width,
        dispensable=DISPENSABLE,
        to_the_right=TO_THE_RIGHT,
        styles=["" if member.up else "red" for member in members],
    )


def fitting(
    columns: Mapping[str, Sequence[str]],
    width: int,
    *,
    dispensable: Sequence[str],
    to_the_right: Collection[str],
    styles: Sequence[str] = (),
) -> RenderableType:
    """A table of columns of cells; of the dispensable ones those that do not fit are left out, the first ones first."""
    columns = dict(columns)
    left_out: list[str] = []
    for name in dispensable:
        if _width(columns) <= width:
            break
        del columns[name]
        left_out.append(name)
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, PADDING, 0, 0), collapse_padding=True
    )
    for name in columns:
        table.add_column(name, justify="right" if name in to_the_right else "left", overflow="fold")
    for cells, style in zip_longest(zip(*columns.values(), strict=True), styles, fillvalue=""):
        table.add_row(*map(Text, cells), style=style)  # an IPv6 address is no markup
    if not left_out:
        return table
    return Group(table, Text(f"too narrow for: {', '.join(left_out)} (--json has all)", style="dim"))


def _width(columns: Mapping[str, Sequence[str]]) -> int:
    gap = PADDING + 1
    return sum(max(map(len, [name, *cells])) + gap for name, cells in columns.items()) - gap


def _member_columns(members: Sequence[MemberFacts]) -> dict[str, list[str]]:
    """The cells of each column, by its name."""
    is_one_host = len({member.host for member in members}) == 1
    owners = {member.id: f":{member.port}" if is_one_host else address(member) for member in members if member.id}
    names = ("member", "role", "state", "of", "slots", "entries", "memory", "lag", "pid")
    rows = [_member_cells(member, owners) for member in members]
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


def _member_cells(member: MemberFacts, owners: Mapping[str, str]) -> list[str]:
    is_owner = member.role == "owner"
    state = "up" if member.link_up else "behind"
    cells = [address(member), member.role, state if member.up else "dead", owners.get(member.owner_id, "")]
    if not member.up:
        return [*cells, "", "", "", "", ""]
    return [
        *cells,
        f"{member.slots:,}" if is_owner else "",
        f"{member.entries:,}",
        size_text(member.memory_bytes),
        "" if is_owner else size_text(member.lag_bytes),
        str(member.pid or ""),
    ]


def up_list(name: str, url: str, members: Sequence[MemberFacts], what: str) -> Text:
    """What a person needs to know of a grid that is up; `what` is what `up` did. Its lines are never broken."""
    call, option = ("", "") if name == "default" else (f'name="{name}"', f" --name {name}")
    facts = {
        "members": summary(members),
        "url": url,
        "connect": f"import cachegrid; grid = cachegrid.connect({call})",
        "look": f"cachegrid status{option}",
        "stop": f"cachegrid down{option}",
    }
    return Text.assemble("grid ", (name, "bold"), f" {what}\n", facts_list(facts, indent="  "))


def facts_list(facts: Mapping[str, str], *, indent: str = "") -> Text:
    """Names and what they stand for, a line each; to be printed with `soft_wrap`, so that it can be copied."""
    longest = max(map(len, facts))
    lines = [Text.assemble(indent, (f"{name:<{longest}}", "bold"), f"  {fact}") for name, fact in facts.items()]
    return Text("\n").join(lines)


def entry_table(entry: Entry) -> RenderableType:
    """An entry with all that is known about it."""
    facts = {
        "key": repr(entry.key),
        "version": entry.version.hex(),
        "created": str(entry.created or "unknown"),
        "expires": str(entry.expires or "never"),
        "idle": str(entry.idle or "never"),
        "size": size_text(entry.size),
    }
    return Group(facts_list(facts), Text("value", style="bold"), value(entry.value, is_terminal=True))


def value(shown: Any, *, is_terminal: bool) -> RenderableType:
    """
    A value for people: text as it is, anything else as Python writes it.

    To a terminal, text that would move its cursor or change its colours is written as Python writes it, too.
    """
    if isinstance(shown, str) and (not is_terminal or _is_harmless(shown)):
        return Text(shown)
    return Pretty(shown, expand_all=False)


def _is_harmless(text: str) -> bool:
    return all(char.isprintable() or char in "\n\t" for char in text)

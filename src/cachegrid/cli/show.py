"""What people see: tables and panels made of plain values. Nothing here asks a grid, or prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.pretty import Pretty
from rich.table import Table
from rich.text import Text

from cachegrid.engines.facts import MemberFacts

if TYPE_CHECKING:
    from cachegrid._core.entry import Entry

__all__ = ["console", "entry_table", "facts_table", "is_whole", "members_table", "size", "summary", "up_panel", "value"]

SLOTS = 16384
WIDE = 200  # columns where there is no terminal: whoever reads the output there wants whole lines


def console(*, stderr: bool = False) -> Console:
    """Where to print; without a terminal there are neither colours nor control codes."""
    shown = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return shown if shown.is_terminal else Console(stderr=stderr, highlight=False, width=WIDE, no_color=True)


def size(count: int) -> str:
    """
    Bytes for people.

    >>> size(999), size(2_935_728), size(64 * 10**9)
    ('999 B', '2.9 MB', '64.0 GB')
    """
    if count < 1000:
        return f"{count} B"
    number = float(count)
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 999.95:
            return f"{number:.1f} {unit}"
    return f"{number / 1000:.1f} TB"


def counted(number: int, noun: str) -> str:
    """
    A number of things.

    >>> counted(1, "entry"), counted(1200, "entry"), counted(2, "owner")
    ('1 entry', '1,200 entries', '2 owners')
    """
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else plural}"


def address(member: MemberFacts) -> str:
    """`host:port`."""
    return f"[{member.host}]:{member.port}" if ":" in member.host else f"{member.host}:{member.port}"


def is_whole(members: Sequence[MemberFacts]) -> bool:
    """Whether every member answers, every slot has an owner, and every replica follows one."""
    slots = sum(member.slots for member in members)
    # A server that is no cluster has no slots.
    return bool(members) and slots in (0, SLOTS) and all(member.up and member.link_up for member in members)


def summary(members: Sequence[MemberFacts]) -> str:
    """The grid in one line."""
    alive = [member for member in members if member.up]
    owners = [member for member in alive if member.role == "owner"]
    parts = [
        counted(len(owners), "owner"),
        counted(len(alive) - len(owners), "replica"),
        counted(sum(owner.entries for owner in owners), "entry"),
        size(sum(member.memory_bytes for member in alive)),
    ]
    if dead := len(members) - len(alive):
        parts.append(f"{dead} dead")
    owned = sum(owner.slots for owner in owners)
    if 0 < owned < SLOTS:
        parts.append(f"{SLOTS - owned:,} of {SLOTS:,} slots without an owner")
    return ", ".join(parts)


def members_table(members: Sequence[MemberFacts]) -> Table:
    """One line for each member."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("member", "role", "state", "of"):
        table.add_column(name, no_wrap=True)
    for name in ("slots", "entries", "memory", "lag", "pid"):
        table.add_column(name, justify="right", no_wrap=True)
    owners = {member.id: address(member) for member in members if member.id}
    for member in members:
        table.add_row(*_member_cells(member, owners), style="" if member.up else "red")
    return table


def _member_cells(member: MemberFacts, owners: Mapping[str, str]) -> list[str]:
    is_owner = member.role == "owner"
    state = "up" if member.link_up else "behind"
    cells = [address(member), member.role, state if member.up else "dead", owners.get(member.owner_id, "")]
    if not member.up:
        return cells
    return [
        *cells,
        f"{member.slots:,}" if is_owner else "",
        f"{member.entries:,}",
        size(member.memory_bytes),
        "" if is_owner else size(member.lag_bytes),
        str(member.pid or ""),
    ]


def up_panel(name: str, url: str, members: Sequence[MemberFacts], seconds: float, *, is_new: bool) -> RenderableType:
    """What a person needs to know of a grid that has just been started."""
    call, option = ("", "") if name == "default" else (f'name="{name}"', f" --name {name}")
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    rows.add_row("members", summary(members))
    rows.add_row("url", Text(url))
    rows.add_row("connect", f"import cachegrid\ngrid = cachegrid.connect({call})")
    rows.add_row("look", f"cachegrid status{option}")
    rows.add_row("stop", f"cachegrid down{option}")
    what = f"is up after {seconds:.2f} s" if is_new else "was up already"
    return Panel(rows, title=f"grid [bold]{name}[/] {what}", title_align="left", box=box.ROUNDED, expand=False)


def facts_table(facts: Mapping[str, str]) -> Table:
    """Names and what they stand for."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    for name, fact in facts.items():
        rows.add_row(name, Text(fact))
    return rows


def entry_table(entry: Entry) -> RenderableType:
    """An entry with all that is known about it."""
    facts = {
        "key": repr(entry.key),
        "version": entry.version.hex(),
        "created": str(entry.created or "unknown"),
        "expires": str(entry.expires or "never"),
        "idle": str(entry.idle or "never"),
        "size": size(entry.size),
    }
    return Group(facts_table(facts), Text("value", style="bold"), value(entry.value, is_terminal=True))


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

"""What a caller wants of a grid, and how that differs from one that is there."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from cachegrid.cluster.identity import Identity
from cachegrid.cluster.launch import Progress
from cachegrid.cluster.memory import default_memory, memory_there
from cachegrid.cluster.plan import NODE_TIMEOUT_MS, GridPlan, MemberTls, Shape, lay_out
from cachegrid.cluster.ports import LOOPBACK, free_pairs, is_free, pairs_from
from cachegrid.cluster.server import find_server
from cachegrid.cluster.state import GridState

__all__ = ["Wish"]

ONE_MEMBER = Shape(owners=1, replicas=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a caller asked for; what it left open is taken as it is in a grid that is there."""

    name: str
    root: Path
    shape: Shape | None  # None: whatever is there, else one member
    is_memory_said: bool = False  # else a limit is chosen for a new grid
    host: str | None = None  # None: as it is in a grid that is there, else loopback
    base_port: int | None = None
    tls: MemberTls | None = None
    server: Path | str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    node_timeout_ms: int = NODE_TIMEOUT_MS
    is_forced: bool = False  # copies on other hosts, which are out of reach, may be lost
    progress: Progress | None = None
    timeout: float = 30.0

    def fits(self, shape: Shape) -> bool:
        """Whether a grid of that shape is what was asked for."""
        if self.shape is None:
            return True
        return shape == (self.shape if self.is_memory_said else replace(self.shape, memory=shape.memory))

    def unlike(self, shape: Shape) -> Iterator[str]:
        """What was asked for and is otherwise in a grid of that shape, where its description does not show it."""
        if self.shape is not None and shape.persist and self.shape.fsync != shape.fsync:
            yield f"it has --fsync {shape.fsync}, and not {self.shape.fsync}"
        if self.shape is not None and self.shape.when_full != shape.when_full:
            yield f"it has --when-full {shape.when_full}, and not {self.shape.when_full}"

    def like(self, state: GridState) -> Self:
        """The same, with what it left open as it was in a grid that died."""
        return replace(
            self,
            shape=state.shape,
            is_memory_said=True,
            host=state.host if self.host is None else self.host,
            tls=self.tls or state.tls,
        )

    def new_plan(self, before: Identity | None) -> GridPlan:
        """A new grid as it is wished for, on ports that are free now: those of the one before, as far as they are."""
        shape, host = self.shape or ONE_MEMBER, self.host or LOOPBACK
        if not self.is_memory_said:
            shape = replace(shape, memory=default_memory(shape, memory_there()))
        if self.base_port is None:
            kept = self._kept_ports(before)[: shape.members]
            taken = [port for pair in kept for port in pair]
            ports = kept + free_pairs(shape.members - len(kept), host, but=taken)
        else:
            ports = pairs_from(self.base_port, shape.members, host)
        return lay_out(shape, host, ports, lambda: secrets.token_hex(20))

    def _kept_ports(self, before: Identity | None) -> list[tuple[int, int]]:
        if before is None or before.host != (self.host or LOOPBACK):
            return []
        return [pair for pair in before.ports if all(is_free(before.host, port) for port in pair)]

    def ignored(self, state: GridState, *, is_running: bool) -> Iterator[str]:
        """What was asked for, besides the shape, and is otherwise in the grid that is there."""
        if self.host is not None and self.host != state.host:
            yield f"its members are at {state.host}, and not at {self.host}"
        ports = [member.port for member in state.members]
        if self.base_port is not None and ports != list(range(self.base_port, self.base_port + len(ports))):
            yield f"its ports are {_in_short(ports)}, and not {self.base_port} and following"
        if self.tls is not None and self.tls != state.tls:
            yield "it has other TLS files" if state.tls else "it is without TLS"
        # One that is kept on disk can be resumed with another program.
        if is_running and self.server is not None and find_server(self.server).path != state.server:
            yield f"its members run {state.server}"


def _in_short(ports: list[int]) -> str:
    if len(ports) > 1 and ports == list(range(ports[0], ports[0] + len(ports))):
        return f"{ports[0]} to {ports[-1]}"
    return ", ".join(map(str, ports))

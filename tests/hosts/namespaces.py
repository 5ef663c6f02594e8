"""
Hosts for tests: network namespaces with addresses of their own, on a network that nothing else is on.

The network is a namespace too, with a bridge in it; nothing of this machine's own network is touched, or can be
reached from there. Hosts share the machine's files, processes and clock.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.hosts import forking

__all__ = ["Host", "Network", "missing", "network"]

NAMES = itertools.count(1)
SUBNET = "10.77.0"
LIMIT = 60.0  # seconds that a command in a host may take
DYING = 5.0  # seconds until what was killed is gone


def missing() -> str:
    """What this machine lacks for hosts, in words; empty if it has all that is needed."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if shutil.which("ip") is None:
        return "the program `ip` is not installed (Debian: iproute2)"
    if os.geteuid() != 0:
        return "network namespaces are made by root"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    return f"network namespaces cannot be made: {tried.stderr.strip()}" if tried.returncode else ""


@dataclass(frozen=True, slots=True)
class Host:
    """One host: a namespace with an address, and with a loopback of its own."""

    number: int  # from 1
    namespace: str
    address: str
    _started: list[subprocess.Popen[str]] = field(default_factory=list, compare=False, repr=False)

    def command(self, *words: str) -> list[str]:
        """The command line that runs another one in this host."""
        return ["ip", "netns", "exec", self.namespace, *words]

    def run(
        self, *words: str, environ: Mapping[str, str] | None = None, stdin: str = "", timeout: float = LIMIT
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; nothing is raised for its exit code."""
        whole = {**os.environ, **(environ or {})}
        if words[0] == sys.executable:
            return forking.run(self.namespace, words[1:], whole, stdin, timeout)
        return subprocess.run(
            self.command(*words), env=whole, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command; `stdout` has all that it says. At the end of the network it is killed, if it still runs."""
        started = subprocess.Popen(
            self.command(*words),
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(started)
        return started

    def kill_all(self) -> None:
        """Kill all that runs in this host, as a loss of power would, and wait until it is gone."""
        for started in self._started:
            started.kill()  # one that has just begun may not have entered the namespace yet
        end = time.monotonic() + DYING
        while left := self.processes():
            if time.monotonic() > end:
                raise RuntimeError(f"these processes do not leave {self.namespace}: {left}")
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        for started in self._started:
            with started:  # closes what it said, and waits for its end
                pass
        self._started.clear()

    def processes(self) -> list[int]:
        """The ids of all processes that run in this host."""
        return [int(word) for word in _run(["ip", "netns", "pids", self.namespace]).split()]


@dataclass(slots=True)
class Network:
    """Hosts that reach each other, until they are cut off; what was cut stays so until `heal`."""

    switch: str  # the namespace that the bridges are in
    hosts: tuple[Host, ...]
    _shut: dict[Host, list[int]] = field(default_factory=dict)

    def cut(self, *hosts: Host) -> None:
        """Pull the cable of these hosts: they reach nobody, and do not notice it by themselves."""
        self._tell_switch(f"link set p{host.number} down" for host in hosts)

    def split(self, *groups: Sequence[Host]) -> None:
        """Part the network: hosts reach those of their own group alone; who is in none is with the others in none."""
        group_of = {host: number for number, group in enumerate(groups, 1) for host in group}
        bridges = [f"link add b{number} type bridge forward_delay 0" for number in range(1, len(groups) + 1)]
        up = [f"link set b{number} up" for number in range(1, len(groups) + 1)]
        ports = [f"link set p{host.number} master b{group_of.get(host, 0)}" for host in self.hosts]
        # Bridges of an earlier split are in the way of new ones, and those who are on them are moved anyway.
        old = [f"link del {name}" for name in self._bridges()]
        self._tell_switch([*old, *bridges, *up, *ports])

    def shut(self, host: Host, *ports: int) -> None:
        """Let a host drop, without a word, what others send to these TCP ports of it, as a firewall would."""
        rules = [] if host in self._shut else ["rule add pref 100 lookup local", "rule del pref 0"]
        rules += [f"rule add pref 1 iif eth0 ipproto tcp dport {port} type blackhole" for port in ports]
        _batch(host.namespace, rules)
        self._shut.setdefault(host, []).extend(ports)

    def heal(self) -> None:
        """Let all hosts reach each other again, on all ports."""
        everyone = (line for host in self.hosts for line in (f"set p{host.number} master b0", f"set p{host.number} up"))
        self._tell_switch([*(f"link {line}" for line in everyone), *(f"link del {name}" for name in self._bridges())])
        for host, ports in self._shut.items():
            _batch(
                host.namespace, [f"rule del pref 1 dport {port} ipproto tcp iif eth0 type blackhole" for port in ports]
            )
            self._shut[host] = []

    def _bridges(self) -> list[str]:
        """Those that a split has made."""
        lines = _run(["ip", "-n", self.switch, "-brief", "link", "show", "type", "bridge"]).splitlines()
        return [name for line in lines if (name := line.split()[0]) != "b0"]

    def _tell_switch(self, lines: Iterator[str] | Sequence[str]) -> None:
        _batch(self.switch, list(lines))


@contextmanager
def network(count: int) -> Iterator[Network]:
    """
    So many hosts on a network of their own; at the end everything that runs in them is killed, and they are removed.

    Raises RuntimeError where that cannot be had here (see `missing`).
    """
    if lack := missing():
        raise RuntimeError(lack)
    stem = f"cachegrid-{os.getpid()}-{next(NAMES)}"
    hosts = tuple(Host(number, f"{stem}-host{number}", f"{SUBNET}.{number}") for number in range(1, count + 1))
    made = Network(f"{stem}-switch", hosts)
    try:
        _make(made)
        yield made
    finally:
        _remove(made)


def _make(made: Network) -> None:
    _run(["ip", "netns", "add", made.switch])
    _batch(made.switch, ["link add b0 type bridge forward_delay 0", "link set b0 up"])
    for host in made.hosts:
        _run(["ip", "netns", "add", host.namespace])
        cable = f"link add p{host.number} type veth peer name eth0 netns {host.namespace}"
        _batch(made.switch, [cable, f"link set p{host.number} master b0 up"])
        _batch(host.namespace, ["link set lo up", f"address add {host.address}/24 dev eth0", "link set eth0 up"])


def _remove(made: Network) -> None:
    there = {line.split()[0] for line in _run(["ip", "netns", "list"]).splitlines()}
    for host in (host for host in made.hosts if host.namespace in there):
        host.kill_all()
        _run(["ip", "netns", "del", host.namespace])
    if made.switch in there:
        _run(["ip", "netns", "del", made.switch])


def _batch(namespace: str, lines: Sequence[str]) -> None:
    _run(["ip", "-n", namespace, "-batch", "-"], "\n".join([*lines, ""]))


def _run(words: list[str], stdin: str = "") -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(words)}` failed: {done.stderr.strip() or stdin}")
    return done.stdout

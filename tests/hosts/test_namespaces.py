"""The hosts that tests are run in: they reach each other until they are cut off, and nothing of them stays."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.hosts.grids import wait_for
from tests.hosts.namespaces import Network, missing, network

LISTEN = "import socket, time; s = socket.create_server(('0.0.0.0', 7001)); print('up', flush=True); time.sleep(60)"
TOUCH = """
import socket, sys
for address in sys.argv[1:]:
    try:
        socket.create_connection((address, 7001), 0.15).close()
        print(address)
    except OSError:
        pass
"""


def listen(net: Network) -> None:
    for host in net.hosts:
        started = host.start(sys.executable, "-c", LISTEN)
        assert started.stdout is not None
        assert "up\n" == started.stdout.readline()


def pairs(net: Network) -> set[tuple[int, int]]:
    """Who reaches the listener of whom, by number."""
    number = {host.address: host.number for host in net.hosts}
    said = {host: host.run(sys.executable, "-c", TOUCH, *(number.keys() - {host.address})) for host in net.hosts}
    return {(host.number, number[line]) for host, done in said.items() for line in done.stdout.split()}


@pytest.mark.slow
def test_hosts_reach_each_other_until_they_are_cut_off(net: Network) -> None:
    """
    A pulled cable, a network that is parted, and a firewall; and all is as before when it is healed.
    """
    listen(net)
    first, second, third = net.hosts
    net.cut(third)
    wait_for(lambda: {(1, 2), (2, 1)} == pairs(net), "so many that reach each other")
    net.heal()
    net.split([first], [second, third])
    wait_for(lambda: {(2, 3), (3, 2)} == pairs(net), "so many that reach each other")
    net.split([first, second])
    wait_for(lambda: {(1, 2), (2, 1)} == pairs(net), "so many that reach each other")
    net.heal()
    net.shut(first, 7001)
    wait_for(lambda: {(1, 2), (1, 3), (2, 3), (3, 2)} == pairs(net), "so many that reach each other")
    net.heal()
    wait_for(lambda: 6 == len(pairs(net)), "all reach each other")


@pytest.mark.slow
def test_nothing_of_a_network_stays() -> None:
    """
    After an error, too, and though something runs in its hosts.
    """
    if lack := missing():
        pytest.skip(f"hosts of their own are needed: {lack}")
    try:
        with network(2) as made:
            running = made.hosts[0].start("sleep", "600")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert -9 == running.returncode
    there = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert made.switch not in there
    assert made.hosts[0].namespace not in there

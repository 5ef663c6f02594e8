"""Grids of real members are started, whole or not at all."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachegrid.cluster import GridState, embedded, find, kill, members, running, start, stop
from cachegrid.cluster.admin import connect_to
from cachegrid.cluster.ports import free_pairs
from cachegrid.cluster.presence import pid_of
from cachegrid.cluster.processes import command_of
from cachegrid.cluster.state import names
from cachegrid.engines.valkey.slots import SLOTS
from cachegrid.errors import ConfigError, GridRunning, ServerMissing, StartFailed

pytestmark = pytest.mark.grid

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="a process can be looked into on Linux only")
EMBEDDED = "from cachegrid.cluster import embedded; s = embedded(); print(s.members[0].pid, s.url)"


@pytest.fixture(autouse=True)
def _ends_grids(state_folder: Path) -> Iterator[None]:
    yield
    for name in names(state_folder):
        stop(name, purge=True)


def left_in(folder: Path) -> list[str]:
    """What is in a folder."""
    return [path.name for path in folder.iterdir()]


def roles(state: GridState) -> list[tuple[str, int]]:
    """The role and the number of slots of each member, owners first."""
    return [(facts.role, facts.slots) for facts in members(state)]


def test_three_owners_and_three_replicas_serve() -> None:
    """
    All slots are owned and all replicas follow on return, and what is written has reached the replicas.
    """
    steps: list[tuple[str, int, int]] = []
    state = start(progress=lambda *step: steps.append(step))
    facts = members(state)
    assert [("owner", 5461), ("owner", 5461), ("owner", 5462)] + [("replica", 0)] * 3 == roles(state)
    assert [True] * 6 == [each.up and each.link_up for each in facts]
    assert [each.id for each in facts[:3]] == [each.owner_id for each in facts[3:]]
    assert ["owners", "replicas", "members agree"] == list(dict.fromkeys(step[0] for step in steps))
    assert ("members agree", 6, 6) == steps[-1]
    with connect_to(state, state.members[0]) as admin:
        assert 1 == admin.run("WAIT", 1, 1000)


@ON_LINUX
def test_one_member_is_a_grid_that_could_grow() -> None:
    """
    The embedded grid is a cluster of one, which owns every slot and takes little memory.
    """
    state = embedded()
    assert [("owner", SLOTS)] == roles(state)
    resident = int(Path(f"/proc/{state.members[0].pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert resident < 15 << 20


def test_who_asks_next_gets_the_same_grid() -> None:
    """
    Neither an embedded grid nor one that was started is started twice.
    """
    assert embedded() == embedded() == find() == start(owners=1, replicas=0)


@pytest.mark.slow
def test_ten_processes_at_once_share_one_grid(state_folder: Path) -> None:
    """
    All of them get the same member, and no lock is left.
    """
    words = [sys.executable, "-c", EMBEDDED]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(10)]
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert [0] * 10 == [process.returncode for process in processes]
    assert 1 == len(answers)
    assert ["default"] == left_in(state_folder)


@ON_LINUX
def test_a_pipe_behind_the_starter_ends_with_it() -> None:
    """
    Members hold nothing of the process that started them: neither its output, nor a file that it lets children have.
    """
    with tempfile.TemporaryFile() as shared:
        os.set_inheritable(shared.fileno(), True)
        done = subprocess.run(
            [sys.executable, "-c", EMBEDDED],
            capture_output=True,
            text=True,
            timeout=30,
            pass_fds=[shared.fileno()],
            check=True,
        )
        pid = int(done.stdout.split()[0])
        held = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
        assert str(Path(f"/proc/self/fd/{shared.fileno()}").readlink()) not in held
    assert "" == done.stderr
    assert "/dev/null" in held
    assert os.getsid(pid) not in (os.getsid(0), os.getpgrp())


@ON_LINUX
def test_members_do_not_inherit_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Of the starter's environment only what a server needs lives on.
    """
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    pid = embedded().members[0].pid
    assert b"s3cret" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert b"PATH=" in Path(f"/proc/{pid}/environ").read_bytes()


def test_files_are_their_owners_alone(state_folder: Path) -> None:
    """
    Folders are 0700 and files 0600, those that the servers write too, and the password is in no command line.
    """
    state = start(owners=1, replicas=1, persist=True)
    with connect_to(state, state.members[0]) as admin:
        admin.run("SET", "k", "v")
    paths = [state_folder, *state_folder.rglob("*")]
    assert {0o700} == {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()}
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()}
    assert state.password not in command_of(state.members[0].pid)


def test_a_password_is_asked_for() -> None:
    """
    A port on loopback is open to every user of the host.
    """
    state = embedded()
    with socket.create_connection((state.members[0].host, state.members[0].port), timeout=5) as sock:
        sock.sendall(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")
        assert sock.recv(100).startswith(b"-NOAUTH")


def test_memory_is_limited_at_each_owner() -> None:
    """
    The grid's memory is split, and the server evicts.
    """
    state = start(owners=2, replicas=0, memory=64 << 20)
    assert [32 << 20] * 2 == [facts.memory_limit_bytes for facts in members(state)]


def test_grids_live_beside_each_other(state_folder: Path) -> None:
    """
    Each has its own folder, ports and password; what is no grid is passed over.
    """
    first, second = start("one", owners=1, replicas=0), start("two", owners=1, replicas=0)
    (state_folder / "rubbish").mkdir()
    (state_folder / "rubbish" / "grid.json").write_text("?")
    assert ["one", "two"] == [state.name for state in running()]
    assert first.password != second.password
    assert first.secret != second.secret
    assert 32 == len(first.secret)
    stop("rubbish")


def test_another_shape_is_refused_while_it_runs() -> None:
    """
    The error says what runs; nothing happens to it.
    """
    state = embedded()
    with pytest.raises(GridRunning, match=r"'default' runs already \(1 owner, 0 replicas each"):
        start()
    assert state == find()


def test_ports_can_be_chosen() -> None:
    """
    Members take consecutive ports from the one given.
    """
    base = random.randrange(20_000, 22_000)  # ports of the bus, 10,000 above, are below those of outgoing connections
    while not consecutive(base, 2):
        base += 1
    state = start(owners=2, replicas=0, base_port=base)
    assert [base, base + 1] == [member.port for member in state.members]


def consecutive(base: int, count: int) -> bool:
    """Whether all ports from `base` on, and the ports of the bus, are free."""
    found = []
    for port in [base + number + offset for number in range(count) for offset in (0, 10000)]:
        with socket.socket() as sock:
            found.append(sock.connect_ex(("127.0.0.1", port)) != 0)
    return all(found)


def test_a_chosen_port_that_is_taken_is_told(state_folder: Path) -> None:
    """
    Nothing is started, and nothing is left.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed, match=rf"port {port} on 127.0.0.1 is in use"):
            start(owners=1, replicas=0, base_port=port)
    assert [] == left_in(state_folder)


def test_a_port_that_is_taken_meanwhile_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Between finding a port free and the member's start somebody may take it: others are tried.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        pairs = iter([[(port, port + 1)], *(free_pairs(1, "127.0.0.1") for _ in range(3))])
        monkeypatch.setattr("cachegrid.cluster.wish.free_pairs", lambda *_, **__: next(pairs))
        state = embedded()
    assert port != state.members[0].port


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("maxmemory", "nonsense", "argument must be a memory value"),
        ("logfile", "/no/folder/log", "Can't open the log file: No such file or directory"),
        ("appenddirname", "nodes.conf", "Can't open or create append-only dir nodes.conf"),
    ],
)
def test_a_server_that_cannot_start_is_quoted(state_folder: Path, name: str, value: str, said: str) -> None:
    """
    The error says which member, and what its server said; every member that came up is ended.
    """
    with pytest.raises(StartFailed, match=rf"(?s)grid 'default' ended as soon as it was started.*{re.escape(said)}"):
        start(owners=2, replicas=0, persist=True, settings={name: value})
    assert [] == left_in(state_folder)


def test_a_failed_replica_takes_the_owners_along(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    When the owners serve already and something else fails, they are ended too.
    """
    pids: list[int] = []

    def interrupted(what: str, *_: int) -> None:
        if what == "replicas":
            folders = state_folder.glob("default/m*/pid")
            pids.extend(int(path.read_text()) for path in folders)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(owners=1, replicas=1, progress=interrupted)
    assert 2 == len(pids)
    assert [] == [pid for pid in pids if command_of(pid)]
    assert [] == left_in(state_folder)


def test_a_state_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    """
    The error names the folder and the reason.
    """
    (tmp_path / "file").write_text("")
    with pytest.raises(StartFailed, match=r"grid 'default' cannot be kept in .*file"):
        embedded(root=tmp_path / "file")


@pytest.mark.parametrize("bytes_left", [0, 100, 400, 1000])
def test_a_full_disk_is_told_and_leaves_nothing(state_folder: Path, bytes_left: int) -> None:
    """
    Wherever our own writing ends, the error says why, and names the folder.
    """
    limits = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes_left}, {bytes_left}))"
    code = f"{limits}\nfrom cachegrid.cluster import start; start()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "StartFailed: grid 'default' cannot be kept in " in done.stderr
    assert "File too large" in done.stderr
    assert [] == left_in(state_folder)


@pytest.mark.parametrize("host", ["", "localhost", "0.0.0.0", "::", "192.0.2.1"])
def test_members_listen_at_an_address_of_this_host(host: str) -> None:
    """
    They tell it to each other and to clients: it must be one that can be told.
    """
    with pytest.raises(ConfigError, match=r"host is .* an IP address of this host"):
        start(host=host)


def test_a_missing_server_is_told(state_folder: Path) -> None:
    """
    Before anything is made.
    """
    with pytest.raises(ServerMissing, match="/no/server"):
        start(server="/no/server")
    assert [] == left_in(state_folder)


def test_the_folder_of_a_crashed_grid_is_no_obstacle(state_folder: Path) -> None:
    """
    When all members were killed nothing runs, and starting makes a new grid, in any shape.
    """
    crashed = start(owners=1, replicas=1)
    for index in range(2):
        kill(crashed, index)
    assert (None, []) == (find(), running())
    state = start(owners=2, replicas=0)
    assert crashed.members[0].id != state.members[0].id
    assert ["default"] == left_in(state_folder)


def test_the_process_ids_of_a_crashed_grid_may_be_others_by_now(state_folder: Path) -> None:
    """
    A number alone is never believed, and never signalled.
    """
    crashed = embedded()
    kill(crashed, 0)
    facts = json.loads((crashed.folder / "grid.json").read_text())
    facts["members"][0]["pid"] = os.getpid()
    (crashed.folder / "grid.json").write_text(json.dumps(facts))
    assert find() is None
    assert os.getpid() != embedded().members[0].pid


def test_a_start_that_was_cut_short_is_cleared(state_folder: Path) -> None:
    """
    A starter that was killed leaves members without a state that says they are ready: they are ended.
    """
    state = start(owners=2, replicas=0)
    facts = json.loads((state.folder / "grid.json").read_text())
    facts["stage"] = "starting"
    for member in facts["members"]:
        member["pid"] = 0
    (state.folder / "grid.json").write_text(json.dumps(facts))
    assert find() is None
    fresh = embedded()
    assert ["", ""] == [command_of(member.pid) for member in state.members]
    assert state.password != fresh.password


def test_a_grid_of_another_host_is_left_alone() -> None:
    """
    A home folder may be shared by hosts: process ids of another mean nothing here, and its files are not ours to clear.
    """
    state = embedded()
    told = (state.folder / "grid.json").read_text()
    (state.folder / "grid.json").write_text(told.replace(json.dumps(state.machine), '"elsewhere"'))
    assert find() is None
    with pytest.raises(GridRunning, match=r"host 'elsewhere'.*CACHEGRID_STATE.*--purge"):
        embedded()
    assert state.members[0].pid == pid_of(state.members[0])


def test_a_stopped_member_is_still_a_member() -> None:
    """
    A grid whose only member stands still is found: it was not killed.
    """
    state = embedded()
    os.kill(state.members[0].pid, signal.SIGSTOP)
    assert state == find()
    assert [False] == [facts.up for facts in members(state, timeout=0.1)]


def test_a_shell_that_is_ended_is_a_failed_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whoever interrupts the start before the servers are detached gets one error, and nothing is left.
    """
    monkeypatch.setattr("cachegrid.cluster.processes.SCRIPT", "kill -INT $$")

    with pytest.raises(StartFailed, match="the shell that starts them ended with"):
        start("cut", owners=1, replicas=0, root=tmp_path)

    assert [] == [path for path in tmp_path.iterdir() if path.is_dir()]

"""The state folder: names, files, and what is read back."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cachegrid
from cachegrid.cluster import running
from cachegrid.cluster.operation import size_told, unfinished
from cachegrid.cluster.plan import MemberTls, Shape
from cachegrid.cluster.state import (
    GridState,
    MemberState,
    Phase,
    Stage,
    checked_name,
    load,
    names,
    save,
    state_root,
    write_atomically,
)
from cachegrid.errors import ConfigError, GridError


@pytest.fixture
def state(tmp_path: Path) -> GridState:
    """A grid of two members that never ran."""
    folder = tmp_path / "shop"
    folder.mkdir()
    members = [
        MemberState(
            index=index,
            id=f"{index:040x}",
            host="127.0.0.1",
            port=7001 + index,
            bus_port=17001 + index,
            role="owner",
            folder=folder / f"m{index + 1}",
            pid=100 + index,
        )
        for index in range(2)
    ]
    return GridState(
        name="shop",
        folder=folder,
        shape=Shape(owners=2, replicas=0, memory=1 << 30),
        members=tuple(members),
        password="s/e@c:ret",
        secret=bytes(range(32)),
        server=Path("/opt/valkey-server"),
        version="Valkey 9.1.2",
        created=1.5,
        machine="here",
    )


def test_what_goes_on_with_something_unfinished_is_what_the_grid_takes(state: GridState) -> None:
    """
    Members of a grid across hosts go with their host, and come by `heal`.
    """
    coming, going = state.members
    begun = replace(state, members=(replace(coming, phase=Phase.JOINING), replace(going, phase=Phase.LEAVING)))
    for is_spread, expected in ((False, ["add", f"remove {going.address}"]), (True, ["heal", "leave"])):
        told = unfinished(replace(begun, spread=is_spread))
        assert [f"{each} --name shop" for each in expected] == [line.partition(": cachegrid ")[2] for line in told]
    told = unfinished(replace(begun, name="default"))
    assert ["add", f"remove {going.address}"] == [line.partition(": cachegrid ")[2] for line in told]


def test_a_grid_that_is_made_anew_keeps_its_memory(state: GridState) -> None:
    """
    One that runs has it, and so it need not be said to take that as it is.
    """
    assert "--name shop --members 2 --replicas 0" == state.options
    assert f"{state.options} --memory 1024MiB" == state.all_options
    assert replace(state, shape=Shape(owners=2, memory=32_000_000)).all_options.endswith(" --memory 32MB")
    assert "--memory 1073741825" in replace(state, shape=Shape(owners=2, memory=(1 << 30) + 1)).all_options
    without = replace(state, name="default", shape=Shape(owners=2, replicas=0))
    assert "--members 2 --replicas 0" == without.options == without.all_options


def test_the_part_of_this_host_is_not_said_to_be_the_grid(state: GridState) -> None:
    """
    Others have theirs, and `status` counts all.
    """
    assert "2 owners, 0 replicas each, 1.1 GB of memory, not kept on disk" == size_told(state)
    assert size_told(replace(state, spread=True)).startswith("on this host 2 owners, ")


def test_what_is_saved_is_loaded(state: GridState) -> None:
    """
    Everything comes back, with or without TLS.
    """
    for each in (
        state,
        replace(state, tls=MemberTls(ca=Path("/a"), cert=Path("/b"), key=Path("/c")), stage=Stage.RESUMING),
    ):
        save(each)
        assert each == load(state.folder.parent, "shop")


def test_secrets_are_kept_apart_and_to_their_owner(state: GridState) -> None:
    """
    grid.json can be shown to others; nobody else can read either file.
    """
    save(state)
    told = (state.folder / "grid.json").read_text()
    assert state.password not in told
    assert state.secret.hex() not in told
    modes = {stat.S_IMODE(path.stat().st_mode) for path in state.folder.iterdir()}
    assert {0o600} == modes


def test_secrets_are_not_shown(state: GridState) -> None:
    """
    Neither the repr, which logs show, nor the URL for people has the password; the full URL has it, escaped.
    """
    assert "s/e@c" not in repr(state)
    assert "valkey://127.0.0.1:7001,127.0.0.1:7002?grid=shop" == state.url
    assert "valkey://:s%2Fe%40c%3Aret@127.0.0.1:7001,127.0.0.1:7002" == state.full_url


def test_urls_of_tls_grids_name_the_files(state: GridState) -> None:
    """
    The scheme says TLS, and a client finds what it has to trust.
    """
    secured = replace(state, tls=MemberTls(ca=Path("/my pem/ca"), cert=Path("/b"), key=Path("/c")))
    assert "valkeys://127.0.0.1:7001,127.0.0.1:7002?grid=shop" == secured.url
    assert secured.full_url.endswith("127.0.0.1:7002?ca=/my%20pem/ca&cert=/b&key=/c")


def test_addresses_of_version_6_are_bracketed(state: GridState) -> None:
    """
    As URLs want them.
    """
    assert "[::1]:7001" == replace(state.members[0], host="::1").address


def test_no_state_is_no_grid(tmp_path: Path) -> None:
    """
    Neither a missing root, nor a missing folder, nor an empty one is an error.
    """
    (tmp_path / "empty").mkdir()
    assert [None, None, None] == [load(root, "empty") for root in (tmp_path / "nowhere", tmp_path / "empty", tmp_path)]
    assert [] == names(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "\0"])
def test_damaged_state_is_one_clear_error(state: GridState, text: str) -> None:
    """
    It says where, and how to be rid of it.
    """
    save(state)
    (state.folder / "grid.json").write_text(text)
    with pytest.raises(GridError, match=r"shop.*down --purge"):
        load(state.folder.parent, "shop")


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8) | st.none(), max_size=4))
def test_any_json_is_loaded_or_refused(tmp_path_factory: pytest.TempPathFactory, facts: dict[str, object]) -> None:
    """
    Foreign files never surface as anything but GridError.
    """
    folder = tmp_path_factory.mktemp("any") / "any"
    folder.mkdir()
    (folder / "grid.json").write_text(json.dumps(facts))
    (folder / "secrets.json").write_text(json.dumps(facts))
    with pytest.raises(GridError):
        load(folder.parent, "any")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A full disk costs the new text, not the old one, and leaves no draft.
    """
    path = tmp_path / "grid.json"
    write_atomically(path, "old", durable=True)

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new", durable=True)
    assert ["old"] == [found.read_text() for found in tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["default", "a", "0", "my.grid_2-b", "x" * 63])
def test_good_names(name: str) -> None:
    """
    Names are lower case, and may have dots, dashes and underscores inside.
    """
    assert name == checked_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "-x", "A", "a/b", "a b", "x" * 64, "a\n", "ü", "a\0"])
def test_bad_names(name: str) -> None:
    """
    What could leave the state folder, or differs on some systems only by case, is no name.
    """
    with pytest.raises(ConfigError, match="name is"):
        checked_name(name)


def test_where_the_state_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The variable of ours wins over the system's place.
    """
    monkeypatch.setenv("CACHEGRID_STATE", "~/grids")
    monkeypatch.setenv("HOME", "/home/ada")
    assert Path("/home/ada/grids") == state_root()
    places: dict[str, Callable[[], None]] = {
        "/home/ada/Library/Application Support/cachegrid": lambda: monkeypatch.setattr("sys.platform", "darwin"),
        "/var/state/cachegrid": lambda: monkeypatch.setenv("XDG_STATE_HOME", "/var/state"),
        "/home/ada/.local/state/cachegrid": lambda: monkeypatch.delenv("XDG_STATE_HOME"),
    }
    monkeypatch.delenv("CACHEGRID_STATE")
    found = []
    for choose in places.values():
        choose()
        found.append(str(state_root()))
        monkeypatch.setattr("sys.platform", "linux")
    assert list(places) == found


@pytest.mark.parametrize("place", ["file", "file/in/it", "link"])
def test_a_state_folder_that_is_a_file_is_a_wrong_setting(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Whoever looks for a grid, or would start one, is told which variable says so.
    """
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CACHEGRID_STATE", place)
    with pytest.raises(ConfigError, match=r"CACHEGRID_STATE is '\w+.*'; it must be a folder, or one that can be made"):
        running()
    with pytest.raises(ConfigError, match="CACHEGRID_STATE"), cachegrid.connect() as grid:
        grid.cache("prices").get("sku-1")

"""Units for systemd say what it understands, and what brings up the very grid that they were made of."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cachegrid.cluster.plan import Shape
from cachegrid.cluster.state import GridState, MemberState
from cachegrid.cluster.systemd import units


@pytest.fixture
def state(tmp_path: Path) -> GridState:
    folder = tmp_path / "a folder, 100% mine" / "shop"
    member = MemberState(
        index=0, id="a" * 40, host="10.0.0.7", port=7001, bus_port=17001, role="owner", folder=folder / "m1"
    )
    return GridState(
        name="shop",
        folder=folder,
        shape=Shape(owners=1, replicas=0, memory=64 << 20),
        members=(member,),
        password="",
        secret=b"",
        server=Path("/usr/bin/redis-server"),
        version="Redis 7.0.15",
        created=0.0,
        machine="here",
    )


def service(found: dict[str, str]) -> configparser.SectionProxy:
    parsed = configparser.RawConfigParser(strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(found["cachegrid-shop.service"])
    return parsed["Service"]


@pytest.mark.parametrize("for_user", [False, True])
def test_systemd_understands_them(state: GridState, tmp_path: Path, *, for_user: bool) -> None:
    """
    Where it is not installed, they are at least sections with names and values.
    """
    found = units(state, for_user=for_user, python="/bin/true")
    assert {"cachegrid-shop.service", "cachegrid-shop-look.service", "cachegrid-shop-look.timer"} == {*found}
    for name, text in found.items():
        (tmp_path / name).write_text(text)
        parsed = configparser.RawConfigParser(strict=False)
        parsed.read_string(text)
        assert "Unit" in parsed.sections()
    if shutil.which("systemd-analyze"):
        words = ["systemd-analyze", "verify", *(str(tmp_path / name) for name in found)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (0, "") == (done.returncode, done.stderr)


def test_they_bring_up_the_grid_as_it_is(state: GridState) -> None:
    """
    One that is forgotten when it is taken down has all said; of one that is kept the name is enough.
    """
    facts = service(units(state, python="/py"))
    words = "--name shop --members 1 --replicas 0 --memory 67108864 --server /usr/bin/redis-server"
    assert f"/py -m cachegrid up {words}" == facts["ExecStart"]
    assert "/py -m cachegrid up --name shop" == facts["ExecReload"]
    assert "/py -m cachegrid down --name shop" == facts["ExecStop"]
    for kept in (replace(state, spread=True), replace(state, shape=replace(state.shape, persist=True))):
        text = units(kept, python="/py")
        assert "/py -m cachegrid up --name shop" == service(text)["ExecStart"]
        assert "SERVER" not in str(text)


def test_words_come_through_as_they_are(state: GridState) -> None:
    """
    A percent sign would begin what systemd fills in, and a blank end a word.
    """
    text = units(state, python='/my "py" $1/python')["cachegrid-shop.service"]
    assert "100%% mine" in text
    assert 'ExecStop="/my \\"py\\" $$1/python" -m cachegrid down --name shop\n' in text
    look = units(state)["cachegrid-shop-look.service"]
    assert f"ConditionPathExists={state.folder}/grid.json\n".replace("%", "%%") in look  # the rest of a line is a path
    priced = replace(state, server=Path("/opt/$5/100%/server"))
    assert " --server /opt/$$5/100%%/server\n" in units(priced)["cachegrid-shop.service"]

"""Several processes on one real grid: nothing is lost, doubled or held for ever, also when one is killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import cachegrid
from cachegrid import SyncGrid
from tests.flow import jobs
from tests.flow.backing import Backing
from tests.flow.crew import PATIENCE, Crew
from tests.flow.waits._sio import until

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("kind", [pytest.param("valkey", marks=pytest.mark.grid)])]
WORKERS = 4


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    """Processes of their own, started once."""
    with Crew(WORKERS) as crew:
        yield crew


@pytest.fixture
def place(backing: Backing) -> tuple[str, str]:
    """The grid's URL, and the test's namespace."""
    return backing.url, backing.namespace


@pytest.fixture
def grid(place: tuple[str, str]) -> Iterator[SyncGrid]:
    """The grid as this process sees it."""
    url, namespace = place
    with cachegrid.connect(url, config={"namespace": namespace}) as grid:
        yield grid


@pytest.mark.parametrize("policy", [{}, {"idle": 60}], ids=["plain", "with idle time"])
def test_no_increment_is_lost(crew: Crew, place: tuple[str, str], policy: dict[str, Any]) -> None:
    """
    Every sum is given to one process once.
    """
    sums = crew.all(jobs.count, *place, 50, **policy)
    assert list(range(1, 50 * WORKERS + 1)) == sorted(number for numbers in sums for number in numbers)


def test_of_many_who_add_one_does(crew: Crew, place: tuple[str, str], grid: SyncGrid) -> None:
    """
    Of each key, and its value is there.
    """
    added = crew.all(jobs.add, *place, 50, range)
    cache = grid.cache("added")
    for key, stored in enumerate(zip(*added, strict=True)):
        assert [True] == [one for one in stored if one]
        assert stored.index(True) == cache[key]


def test_no_update_is_lost(crew: Crew, place: tuple[str, str], grid: SyncGrid) -> None:
    """
    However many change one value.
    """
    crew.all(jobs.append, *place, range, 10)
    assert sorted(list(range(WORKERS)) * 10) == sorted(grid.cache("lists")["key"])


def test_a_clear_is_seen_by_all(crew: Crew, place: tuple[str, str], grid: SyncGrid) -> None:
    """
    When it has returned, in whichever process.
    """
    cache = grid.cache("cleared")
    for worker in range(WORKERS):
        cache["key"] = worker
        assert [worker] * WORKERS == crew.all(jobs.look, *place, "key")
        assert [None, 0] == crew.begin(worker, jobs.clear_and_look, *place).result()
        assert None is cache.get("key")
        assert [None] * WORKERS == crew.all(jobs.look, *place, "key")


@pytest.mark.parametrize("job", [jobs.load, jobs.aload], ids=["threads", "tasks"])
def test_64_callers_in_each_of_4_processes_load_once(
    crew: Crew, place: tuple[str, str], tmp_path: Path, job: Callable[..., Any]
) -> None:
    """
    All of them have missed before the load ends; all get what was loaded.
    """
    asking = [crew.begin(worker, job, *place, str(tmp_path), 64, "5s") for worker in range(WORKERS)]
    until(lambda: len(list(tmp_path.glob("missed-*"))) == WORKERS)
    (tmp_path / "go").touch()
    answers = [answer for answers in asking for answer in answers.result(PATIENCE)]
    loads = _loads(tmp_path)
    assert (1, 64 * WORKERS) == (len(loads), len(answers))
    assert set(loads) == set(answers)


@pytest.mark.parametrize("job", [jobs.load, jobs.aload], ids=["threads", "tasks"])
def test_a_load_whose_process_is_killed_is_done_by_another(
    crew: Crew, place: tuple[str, str], tmp_path: Path, job: Callable[..., Any]
) -> None:
    """
    Of 64 callers in each of 4 processes one loads; when its process is killed one more does, within its lease plus 1 s.
    """
    asking = [crew.begin(worker, job, *place, str(tmp_path), 64, "1s") for worker in range(WORKERS)]
    until(lambda: len(list(tmp_path.glob("missed-*"))) == WORKERS)
    ((first, _),) = _loads(tmp_path).items()
    leader = next(worker for worker in range(WORKERS) if first.startswith(f"{crew.pid(worker)}-"))
    crew.kill(leader)
    killed = time.monotonic_ns()
    (tmp_path / "go").touch()
    answers = [answer for worker in range(WORKERS) if worker != leader for answer in asking[worker].result(PATIENCE)]
    loads = _loads(tmp_path)
    assert 2 == len(loads)
    assert [loads.keys() - {first}] * 64 * (WORKERS - 1) == [{answer} for answer in answers]
    assert 2e9 > max(loads.values()) - killed
    _is_gone(asking[leader])


def test_a_lock_is_exclusive_among_processes(crew: Crew, place: tuple[str, str], tmp_path: Path) -> None:
    """
    A number in a file that is read and written under it is raised by each; fencing numbers are all different.
    """
    (tmp_path / "number").write_text("0")
    fences = crew.all(jobs.work_alone, *place, str(tmp_path), 10)
    assert str(10 * WORKERS) == (tmp_path / "number").read_text()
    assert 10 * WORKERS == len({fence for each in fences for fence in each})
    assert all(sorted(each) == each for each in fences)


def test_a_lock_whose_holder_is_killed_ends_with_its_lease(
    crew: Crew, place: tuple[str, str], grid: SyncGrid, tmp_path: Path
) -> None:
    """
    The next holder has it soon after, and a larger number; until then nobody has.
    """
    holder = crew.begin(0, jobs.hold, *place, str(tmp_path), "400ms")
    until((tmp_path / "held").exists)
    with pytest.raises(cachegrid.errors.LockTimeout):
        grid.lock("job", wait="10ms").acquire()
    crew.kill(0)
    killed = time.monotonic()
    with grid.lock("job", wait=5):
        assert 1.4 > time.monotonic() - killed
    _is_gone(holder)


def test_calls_have_the_same_key_in_every_process(crew: Crew, place: tuple[str, str]) -> None:
    """
    Sets and dicts among the arguments, whose order differs from process to process, included.
    """
    first, *others = crew.all(jobs.keys, *place)
    assert [first] * (WORKERS - 1) == others
    assert len(first) == len(set(first))


def _loads(folder: Path) -> dict[str, int]:
    """Who loaded, and when that began."""
    return {file.name.removeprefix("load-"): int(file.read_text()) for file in folder.glob("load-*")}


def _is_gone(answer: Future[Any]) -> None:
    with pytest.raises(ChildProcessError):
        answer.result(5)

"""The benchmark measures everybody, tells what failed, and asserts no times: the machine has other work, too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cachegrid.bench import facts
from cachegrid.bench import race as racing
from cachegrid.bench import runs as running
from cachegrid.bench.contenders import BARE, CACHEGRID, CONTENDERS, GLIDE, VALKEY_PY, Contender
from cachegrid.bench.facts import FOREIGN, ImportCost, Start, import_cost
from cachegrid.bench.load import QUICK, Calls, Load, Scenario
from cachegrid.bench.race import Result
from cachegrid.bench.report import as_dict, print_table
from cachegrid.bench.targets import judge
from cachegrid.cluster import GridState
from cachegrid.cluster.plan import Shape

NOWHERE = GridState(
    name="nowhere",
    folder=Path(),
    shape=Shape(owners=1, replicas=0),
    members=(),
    password="",
    secret=b"",
    server=Path(),
    version="Valkey 9.1.2",
    created=0,
    machine="",
)


def _contender(calls: Calls | Exception, *, name: str = "fake", colour: str = "sync") -> Contender:
    @asynccontextmanager
    async def opener(_state: GridState, _load: Load) -> AsyncIterator[Calls]:
        if isinstance(calls, Exception):
            raise calls
        yield calls

    return Contender(name=name, colour=colour, many="a loop", open=opener, package="nothing-of-this-name")


def _dict_calls(value: bytes = QUICK.value) -> Calls:
    kept: dict[str, object] = {}
    return Calls(kept.__getitem__, kept.__setitem__, lambda keys: [kept[key] for key in keys], value)


def _raced(*contenders: Contender) -> dict[Scenario, list[Result]]:
    return asyncio.run(racing.race(contenders, NOWHERE, QUICK, lambda _: None))


def _result(name: str, us: float, colour: str = "sync") -> Result:
    return Result(_contender(_dict_calls(), name=name, colour=colour), slices=[us])


class TestRace:
    def test_takes_turns_and_does_the_same_for_everybody(self) -> None:
        """
        In each round each contender has one slice, with the same number of operations.
        """
        turns: list[str] = []

        def counted(name: str) -> Contender:
            calls = _dict_calls()

            def get(key: str) -> object:
                turns.append(name)
                return calls.get(key)

            return _contender(replace(calls, get=get), name=name)

        results = _raced(counted("a"), counted("b"))
        assert [QUICK.rounds, QUICK.rounds] == [len(result.slices) for result in results[Scenario.GET]]
        opening, slices = turns[: 2 * len(QUICK.keys)], turns[2 * len(QUICK.keys) :]
        assert len(QUICK.keys) == opening.count("b")
        one = QUICK.singles + QUICK.warm
        assert (["a"] * one + ["b"] * one) * QUICK.rounds == slices

    def test_measures_async_contenders_with_many_callers(self) -> None:
        """
        Only async contenders have callers at once, and all that there should be wait at the same time.
        """
        waiting, most = 0, 0
        calls = _dict_calls()

        async def get(key: str) -> object:
            nonlocal waiting, most
            waiting += 1
            most = max(most, waiting)
            await asyncio.sleep(0)
            waiting -= 1
            return calls.get(key)

        async def put(key: str, value: object) -> None:
            calls.set(key, value)

        async def get_many(keys: list[str]) -> object:
            return calls.get_many(keys)

        results = _raced(
            _contender(_dict_calls()), _contender(Calls(get, put, get_many, QUICK.value), name="aio", colour="async")
        )
        assert ["fake", "aio"] == [result.contender.name for result in results[Scenario.GET]]
        assert ["aio"] == [result.contender.name for result in results[Scenario.CALLERS]]
        assert QUICK.callers == most

    def test_tells_who_is_not_installed(self) -> None:
        """
        A client that is not there is in every scenario's results, with what to do about it.
        """
        results = _raced(_contender(ModuleNotFoundError("No module named 'glide'")), _contender(_dict_calls()))
        for scenario in (Scenario.GET, Scenario.SET, Scenario.MANY):
            missing, present = results[scenario]
            assert "not installed; pip install 'cachegrid[bench]'" == missing.failed
            assert [] == missing.slices
            assert "" == present.failed

    def test_tells_who_cannot_connect(self) -> None:
        """
        A client that fails to connect is reported with its own words, also from inside a group.
        """
        failing = ExceptionGroup("in tasks", [ConnectionError("no route")])
        results = _raced(_contender(failing))
        assert "ConnectionError: no route" == results[Scenario.SET][0].failed

    def test_does_not_measure_wrong_answers(self) -> None:
        """
        A client that answers with anything but what was stored is not fast, it is broken.
        """
        calls = _dict_calls()
        results = _raced(_contender(replace(calls, get=lambda _: None)))
        assert "it answers None" in results[Scenario.GET][0].failed

    def test_goes_on_when_one_fails_on_the_way(self) -> None:
        """
        A failure in the middle ends this contender in this scenario, and nobody else.
        """
        calls = _dict_calls()
        left = list(range(len(QUICK.keys) + 5))
        broken = replace(calls, get=lambda key: (left.pop(), calls.get(key))[1])
        results = _raced(_contender(broken, name="broken"), _contender(_dict_calls(), name="sound"))
        assert ["IndexError: pop from empty list", ""] == [result.failed for result in results[Scenario.GET]]
        assert QUICK.rounds == len(results[Scenario.GET][1].slices)
        assert ["", ""] == [result.failed for result in results[Scenario.SET]]

    def test_counts_the_quicker_half(self) -> None:
        """
        The figure is the median of the quicker half of all slices.
        """
        assert 2.0 == Result(CONTENDERS[0], slices=[9.0, 1.0, 3.0, 2.0, 50.0]).us
        assert 7.0 == Result(CONTENDERS[0], slices=[7.0]).us


class TestTargets:
    def test_are_judged_by_ratios_of_one_run(self) -> None:
        """
        A target is met when its ratio is, whatever the times.
        """
        raced = {
            Scenario.GET: [_result(BARE, 10), _result(CACHEGRID, 13), _result(VALKEY_PY, 20)],
            Scenario.SET: [],
            Scenario.MANY: [_result(CACHEGRID, 2), _result(VALKEY_PY, 8), _result(GLIDE, 5.9)],
            Scenario.CALLERS: [_result(CACHEGRID, 12, "async"), _result(GLIDE, 20, "async")],
        }
        start = Start(connect_ms=100, first_value_ms=101, member_bytes=7_500_000)
        targets = judge(raced, start, ImportCost(ms=61, foreign=["redis"]))
        assert [True, False, True, True, False, True, True, False, False] == [target.met for target in targets]
        assert [1.3, 20 / 13, 2, 4, 2.95, 0.6, 7.5, 61, 1] == [target.figure for target in targets]

    def test_are_missed_by_what_did_not_run(self) -> None:
        """
        Where a figure is not there its target is not met.
        """
        targets = judge({scenario: [] for scenario in Scenario}, None, None)
        assert [False] * 9 == [target.met for target in targets]


class TestImportCost:
    def test_is_seen_in_a_fresh_interpreter(self) -> None:
        """
        Importing cachegrid loads no client library and no framework, whatever this process has loaded.
        """
        import redis  # noqa: F401 - the point is that this process has it

        cost = import_cost(1)
        assert [] == cost.foreign
        assert cost.ms > 0
        assert "redis" in FOREIGN


class TestCodecShares:
    def test_are_the_worst_of_each_value(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A value's share is the largest of its times and its size, and is held to a target of its own.
        """
        told = {
            "must": {"a record": {"encode_us": {"share": 0.7}, "bytes": {"share": 1.1}}, "1 MB": {"a": {"share": 1}}}
        }
        (tmp_path / "bench").mkdir()
        (tmp_path / "bench" / "codecs.py").write_text(f"print({json.dumps(told)!r})")
        monkeypatch.setattr(facts, "__file__", str(tmp_path / "src" / "cachegrid" / "bench" / "facts.py"))
        shares = facts.codec_shares()
        assert {"a record": 1.1, "1 MB": 1} == shares
        held = judge({scenario: [] for scenario in Scenario}, None, None, shares)[9:]
        assert [False, True] == [target.met for target in held]

    def test_need_the_source_tree(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Where there is only the package there is nothing to tell, and nothing fails.
        """
        monkeypatch.setattr(facts, "__file__", str(tmp_path / "lib" / "cachegrid" / "bench" / "facts.py"))
        assert facts.codec_shares() is None


@pytest.mark.grid
@pytest.mark.slow
class TestRun:
    def test_prints_one_json_object_with_everybody_in_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        The quick run measures every contender, on a grid of its own that is gone afterwards.
        """
        assert 0 == running.run(json=True, quick=True)
        told = json.loads(capsys.readouterr().out)
        assert {"get", "set", "get_many", "callers"} == set(told["scenarios"])
        for name, scenario in told["scenarios"].items():
            _check_scenario(name, scenario)
        assert 9 == len(told["targets"])
        assert all(target["figure"] is not None for target in told["targets"])
        assert told["embedded"]["member_bytes"] > 1_000_000
        assert 0 < told["embedded"]["connect_ms"] <= told["embedded"]["first_value_ms"]
        assert told["grid"]["start_ms"] > 0
        assert [] == told["troubles"]


def _check_scenario(name: str, scenario: dict[str, Any]) -> None:
    expected = [
        (contender.name, contender.colour) for contender in CONTENDERS if name != "callers" or contender.is_async
    ]
    rows = scenario["rows"]
    assert expected == [(row["contender"], row["colour"]) for row in rows]
    assert all("failed" not in row and row["us"] > 0 and row["median_us"] >= row["us"] for row in rows)
    assert all(row["times_cachegrid"] > 0 for row in rows)
    assert (name == "callers") == all(row["times_bare"] is None for row in rows)
    assert QUICK.rounds == scenario["rounds"]


class TestExitCode:
    @pytest.fixture
    def found(self, monkeypatch: pytest.MonkeyPatch) -> running.Run:
        """What the next run will have found: everything ran, and targets are missed."""
        found = running.Run(load=QUICK, raced=_raced(_contender(_dict_calls())))
        found.targets = judge(found.raced, None, None)
        monkeypatch.setattr(running, "measure", lambda _load, _tell: found)
        return found

    def test_is_0_when_all_ran(self, found: running.Run) -> None:
        """
        A missed target breaks no script, unless it is asked for.
        """
        assert 0 == running.run(json=True)
        assert 1 == running.run(json=True, strict=True)

    def test_is_1_when_something_could_not_run(self, found: running.Run, capsys: pytest.CaptureFixture[str]) -> None:
        """
        A contender that failed, or a fact that could not be had, is told and shown by the exit code.
        """
        found.raced = _raced(_contender(ConnectionError("no [route]"), name="lost"))
        assert 1 == running.run()
        assert "lost did not run: ConnectionError: no [route]" in capsys.readouterr().out
        found.raced = {}
        found.troubles = ["embedded grid: no server"]
        assert 1 == running.run()
        assert "not measured: embedded grid: no server" in capsys.readouterr().out

    def test_tables_say_what_json_says(self, found: running.Run, capsys: pytest.CaptureFixture[str]) -> None:
        """
        The tables name every target and every contender.
        """
        print_table(found)
        printed = capsys.readouterr().out
        told = as_dict(found)
        assert all(row["contender"] in printed for row in told["scenarios"]["get"]["rows"])
        assert all(f"{row['us']:.2f}" in printed for row in told["scenarios"]["get"]["rows"])
        assert len(told["targets"]) == printed.count("missed")

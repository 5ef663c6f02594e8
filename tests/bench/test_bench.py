"""The benchmark measures everybody, tells what failed, and asserts no times: the machine has other work, too."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
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
from cachegrid.bench.near import ours as near_ours
from cachegrid.bench.near.contenders import DICT, NEAR_CONTENDERS
from cachegrid.bench.near.hits import RECORD, Hits, Near, priced, text_of
from cachegrid.bench.near.news import News
from cachegrid.bench.near.race import race_near
from cachegrid.bench.race import Result
from cachegrid.bench.report import as_dict, print_table
from cachegrid.bench.targets import judge, judge_near
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

    return Contender(name=name, colour=colour, way="a loop", open=opener, package="nothing-of-this-name")


def _dict_calls(value: bytes = QUICK.value) -> Calls:
    kept: dict[str, object] = {}
    return Calls(kept.__getitem__, kept.__setitem__, lambda keys: [kept[key] for key in keys], value)


def _raced(*contenders: Contender) -> dict[Scenario, list[Result]]:
    return asyncio.run(racing.race(contenders, NOWHERE, QUICK, lambda _: None))


def _result(name: str, us: float, colour: str = "sync", *, loss: float | None = None) -> Result:
    contender = _contender(_dict_calls(), name=name, colour=colour)
    return Result(contender, slices=[us], losses=[] if loss is None else [loss])


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


def _hits_contender(hits: Hits, *, name: str = "fake", colour: str = "sync") -> Contender:
    @asynccontextmanager
    async def opener(_state: GridState, _load: Load) -> AsyncIterator[Hits]:
        yield hits

    return Contender(name=name, colour=colour, way="", open=opener, package="nothing-of-this-name")


def _text(_key: str) -> str:
    return text_of(QUICK)


def _raced_near(*contenders: Contender) -> dict[Near, list[Result]]:
    return asyncio.run(race_near(contenders, NOWHERE, QUICK, lambda _: None))


class TestNearRace:
    def test_does_the_same_for_everybody(self) -> None:
        """
        Each contender has the same slices of the same number of hits, of what it has.
        """
        calls: list[str] = []

        def counted(key: str) -> str:
            calls.append(key)
            return _text(key)

        ruled = {Near.EARLY: _text, Near.RULES: _text}
        whole = Hits(constant=_text, record=lambda _: dict(RECORD), function=priced, ruled=ruled, threads=_text)
        results = _raced_near(_hits_contender(whole), _hits_contender(Hits(constant=counted), name="bare"))
        expected = dict.fromkeys((Near.RECORD, Near.FUNCTION, Near.EARLY, Near.RULES, Near.THREADS), 1)
        assert {Near.CONSTANT: 2, **expected} == {near: len(found) for near, found in results.items() if found}
        assert [QUICK.rounds] * 7 == [len(result.slices) for found in results.values() for result in found]
        assert len(QUICK.keys) + QUICK.rounds * (QUICK.hits + 20) == len(calls)

    def test_threads_read_at_once(self) -> None:
        """
        All that there should be, each as often as the others; and one alone has done as much before.
        """
        seen: list[str] = []

        def noted(key: str) -> str:
            seen.append(threading.current_thread().name)
            return _text(key)

        [result] = _raced_near(_hits_contender(Hits(constant=_text, threads=noted)))[Near.THREADS]
        counts = Counter(name for name in seen if name != threading.current_thread().name)
        per_slice = [list(counts.values())[first : first + 9] for first in range(0, len(counts), 9)]
        assert [QUICK.threads + 1] * QUICK.rounds == [len(slice_) for slice_ in per_slice]
        assert [[alone // QUICK.threads] * QUICK.threads for alone, *_ in per_slice] == [each for _, *each in per_slice]
        assert QUICK.rounds == len(result.slices) == len(result.losses)

    def test_async_contenders_are_awaited(self) -> None:
        """
        Also where a function is decorated.
        """

        async def text(key: str) -> str:
            return _text(key)

        async def price(sku: str, currency: str) -> str:
            return priced(sku, currency)

        results = _raced_near(_hits_contender(Hits(constant=text, function=price), colour="async"))
        assert ["", ""] == [results[near][0].failed for near in (Near.CONSTANT, Near.FUNCTION)]
        assert [] == results[Near.THREADS]

    @pytest.mark.parametrize(
        ("hits", "reason"),
        [
            (Hits(constant=lambda _: None), "it answers None"),
            (Hits(constant=_text, function=lambda *_: "wrong"), "it answers 'wrong'"),
            (Hits(constant=_text, record=lambda _: RECORD), "the same record to everybody"),
        ],
    )
    def test_wrong_answers_are_not_measured(self, hits: Hits, reason: str) -> None:
        """
        A miss, another value, and a record that all callers share.
        """
        results = _raced_near(_hits_contender(hits))
        assert all(reason in result.failed for found in results.values() for result in found)
        assert [] == results[Near.CONSTANT][0].slices

    def test_a_cache_that_is_not_installed_is_told(self) -> None:
        """
        In every table, with what to do about it.
        """
        results = _raced_near(_contender(ModuleNotFoundError("No module named 'cachebox'")))
        assert all("pip install 'cachegrid[bench]'" in found[0].failed for found in results.values())

    def test_time_is_up_when_copies_are_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        A hit on the grid must not be taken for a near one.
        """
        monkeypatch.setattr(near_ours, "_PATIENCE", 0.05)

        async def read_all() -> None:
            """Reads that leave no copy."""

        with pytest.raises(TimeoutError, match="kept near"):
            asyncio.run(near_ours._until_near(read_all, [], 1))


class TestNearTargets:
    def test_are_judged_by_what_a_run_found(self) -> None:
        """
        What threads lose is held against what they lose with a dict; how long they take for it tells nothing.
        """
        raced = {
            Near.CONSTANT: [_result(DICT, 0.02), _result(CACHEGRID, 0.3), _result(CACHEGRID, 0.7, "async")],
            Near.RECORD: [_result(CACHEGRID, 1.5), _result(CACHEGRID, 1.6, "async")],
            Near.FUNCTION: [_result(CACHEGRID, 1.3), _result(CACHEGRID, 1.1, "async")],
            Near.RULES: [_result(CACHEGRID, 0.42), _result(CACHEGRID, 1.2, "async")],
            Near.THREADS: [_result(DICT, 0.04, loss=2), _result(CACHEGRID, 0.63, loss=2.1)],
        }
        news = News(median_ms=0.1, p99_ms=5.5, longest_ms=9, writes_per_second=5000)
        targets = judge_near(raced, news)
        assert [True, False, True, True, False, True, True, False, True, True, False] == [
            target.met for target in targets
        ]
        assert [0.3, 0.7, 1.5, 1.6, 1.3, 1.1] == [target.figure for target in targets[:6]]
        assert [1.4, 1.2 / 0.7, 1.05] == pytest.approx([target.figure for target in targets[6:9]])

    def test_are_missed_by_what_did_not_run(self) -> None:
        """
        Where a figure is not there its target is not met.
        """
        assert [False] * 11 == [target.met for target in judge_near({}, None)]


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
        assert [False, False, True, True, False, True, True, True, False, False] == [target.met for target in targets]
        assert [1.3, 20 / 13, 2, 4, 2.95, 12, 0.6, 7.5, 61, 1] == [target.figure for target in targets]

    def test_are_missed_by_what_did_not_run(self) -> None:
        """
        Where a figure is not there its target is not met.
        """
        targets = judge({scenario: [] for scenario in Scenario}, None, None)
        assert [False] * 10 == [target.met for target in targets]


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
        held = judge({scenario: [] for scenario in Scenario}, None, None, shares)[10:]
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
        assert {str(near) for near in Near} == set(told["near"])
        singly = ("near_grace", "near_early", "near_tags", "near_events", "near_rules")
        assert [["sync", "async"]] * 5 == [[row["colour"] for row in told["near"][name]["rows"]] for name in singly]
        for scenario in told["near"].values():
            assert all("failed" not in row and row["us"] > 0 for row in scenario["rows"])
        assert len(NEAR_CONTENDERS) == len(told["near"]["near_constant"]["rows"])
        for news in (told["news"], told["news_when_busy"]):
            assert 0 < news["median_ms"] <= news["p99_ms"] <= news["longest_ms"]
            assert news["writes_per_second"] > 0
        assert 21 == len(told["targets"])
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
        found.near = _raced_near(_hits_contender(Hits(constant=_text), name="near fake"))
        found.news = News(median_ms=0.125, p99_ms=1.5, longest_ms=2, writes_per_second=5000)
        found.targets = judge(found.raced, None, None) + judge_near(found.near, found.news)
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
        found.raced, found.near = {}, {}
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
        assert all(f"{row['us']:.2f}" in printed for row in told["near"]["near_constant"]["rows"])
        assert "near fake" in printed
        assert "news of a change: 0.12 ms at the median, 1.50 ms at p99, at 5,000 a second" in printed
        assert len(told["targets"]) == printed.count("missed") + printed.count("  met ")

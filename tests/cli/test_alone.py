"""The command where no grid is: help, completion, and errors that say what to do."""

from __future__ import annotations

import functools
import re
import resource
from pathlib import Path
from typing import Any

import pytest

import cachegrid as package
from cachegrid.cli.exits import Exit
from tests.cli.command import cachegrid, here

COMMANDS = [
    "up",
    "down",
    "status",
    "url",
    "get",
    "set",
    "delete",
    "keys",
    "clear",
    "stats",
    "add",
    "remove",
    "replace",
    "rebalance",
    "failover",
    "restart",
    "heal",
    "backup",
    "restore",
    "doctor",
    "token",
    "join",
    "leave",
    "tls",
    "systemd",
    "demo",
    "bench",
    "version",
]
DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "cli.md"


@functools.cache
def help_of(command: str) -> str:
    """What it says of itself."""
    done = here(command, "-h")
    assert 0 == done.code
    return done.out


def test_help_names_every_command_and_every_exit_code_and_is_quick() -> None:
    """
    In under half a second, not counting what the machine does for others meanwhile.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = cachegrid("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert 0 == done.code
    assert COMMANDS == re.findall(r"^  ([a-z]+) {2,}[A-Z]", done.out, re.MULTILINE)
    assert [code for code in Exit if str(int(code)) not in done.out] == []
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_has_json(command: str) -> None:
    """
    No command is for people only.
    """
    assert "--json" in help_of(command)


def test_the_page_has_every_command_option_and_exit_code() -> None:
    """
    What the help knows, the page explains.
    """
    page = DOCS.read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"cachegrid {command}" in page
        for option in re.findall(r"--[a-z-]+", help_of(command)):
            assert re.search(rf"[` \[]{option}\b", page), f"{command} {option}"
    assert [code for code in Exit if f"| {int(code)} |" not in page] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_the_usual_shells(shell: str) -> None:
    """
    To be copied into their settings.
    """
    # The shell is said: under a test runner there may be none to be found.
    done = cachegrid("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert 0 == done.code, done.err
    assert "_CACHEGRID_COMPLETE=complete_" in done.out


def test_a_shell_gets_the_commands_that_begin_so() -> None:
    """
    What the printed script asks when somebody presses the tab key.
    """
    asked: dict[str, Any] = {"_CACHEGRID_COMPLETE": "complete_bash", "COMP_WORDS": "cachegrid st", "COMP_CWORD": "1"}
    assert ["status", "stats"] == cachegrid(**asked).out.split()


def test_the_version_is_told() -> None:
    """
    Short by the option, and of all that matters by the command.
    """
    assert f"cachegrid {package.__version__}\n" == cachegrid("--version").out
    told = cachegrid("version", "--json").told
    assert package.__version__ == told["cachegrid"]
    assert {"cachegrid", "python", "server"} == set(told)


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["url"],
        ["get", "prices", "a"],
        ["set", "prices", "a", "1"],
        ["keys", "prices"],
        ["clear", "prices"],
        ["stats"],
    ],
)
def test_where_no_grid_is_none_is_started(words: list[str], state_folder: Path) -> None:
    """
    It is said, and how to start one; only programs that call `connect` start one by themselves.
    """
    done = here(*words)
    says = (
        f"cachegrid: no grid of this user runs on this host (looked in {state_folder}); start one with: cachegrid up\n"
    )
    assert (3, "", says) == done
    assert not state_folder.exists()


def test_to_stop_where_no_grid_is_is_done_already() -> None:
    """
    Scripts end with it. One that was named, and is not there, may be misspelt.
    """
    for words in (["down"], ["down", "--all"]):
        assert (0, {"stopped": []}) == ((done := here(*words, "--json")).code, done.told)
    assert 3 == here("down", "--name", "shpo").code


@pytest.mark.parametrize(
    ("words", "variables", "code", "message"),
    [
        (["status", "--name", "shop"], {}, 3, "start it with: cachegrid up --name shop"),
        (["get", "c", "k", "--url", "valkey://127.0.0.1:1"], {}, 3, "127.0.0.1:1"),
        (["get", "c", "k", "--url", "nope://h"], {}, 2, "scheme is known"),
        (["get", "c", "k", "--url", "valkey://h:99999"], {}, 2, "99999"),
        (["get", "c", "k"], {"CACHEGRID_URL": "valkey://127.0.0.1:1"}, 3, "127.0.0.1:1"),
        (["get", "c", "k"], {"CACHEGRID_NMAE": "x"}, 2, "did you mean 'CACHEGRID_NAME'"),
        (["get", "c", "k", "--config", "gone.toml"], {}, 2, "gone.toml"),
        (["get", "no/name", "k", "--url", "memory://"], {}, 2, "cache name is 'no/name'"),
        (["get", "c", "x" * 2000, "--url", "memory://"], {}, 2, "a key may take"),
        (["get", "c", "x", "-k", "int"], {}, 2, "KEY is 'x'; it must be a whole number"),
        (["set", "c", "k", "{", "-t", "json"], {}, 2, "VALUE is '{'; it must be JSON"),
        (["set", "c", "k", "v", "--ttl", "5 years", "--url", "memory://"], {}, 2, "cachegrid: --ttl is '5 years'"),
        (["set", "c", "k", "v", "--ttl", "-1", "--url", "memory://"], {}, 2, "cachegrid: --ttl is '-1'"),
        (
            ["set", "c", "k", "v", "--idle", "0", "--url", "memory://"],
            {},
            2,
            "--idle is '0'; it must be a time of more than 0\n",
        ),
        (
            ["status", "--url", "memory://", "--name", "x"],
            {},
            2,
            "name is 'x'; it must be left out where a url is said",
        ),
        (["up", "--memory", "much"], {}, 2, "--memory is 'much'"),
        (["up", "--memory", "1MB"], {}, 2, "at least 24000000, or 24.0 MB: 8.0 MB for each of its 3 owners"),
        (["up", "--members", "0"], {}, 2, "members is 0"),
        (["up", "--name", "../x"], {}, 2, "'../x'"),
        (["up", "--server", "/bin/false"], {}, 4, "/bin/false is no"),
        (["up", "--server", "/gone"], {}, 5, "/gone"),
        (["get", "c"], {}, 2, "Missing argument"),
        (["gte"], {}, 2, "Did you mean 'get'"),
        (["get", "c", "k", "--typo"], {}, 2, "(see: cachegrid get --help)"),
        (["up", "--members"], {}, 2, "Option '--members' requires an argument (see: cachegrid --help)"),
        (["up", "--members", "x"], {}, 2, "Invalid value for '--members'"),
        (["--nope"], {}, 2, "No such option: --nope (see: cachegrid --help)"),
        (["--url", "memory://", "status"], {}, 2, "(--url goes behind the command, as in: cachegrid status --url ...)"),
        (["--members", "1", "up"], {}, 2, "(--members goes behind the command, as in: cachegrid up --members ...)"),
    ],
)
def test_an_error_is_one_clear_line(words: list[str], variables: dict[str, str], code: int, message: str) -> None:
    """
    On stderr, with nothing on stdout, no traceback, and an exit code that says what kind it is.
    """
    done = here(*words, **variables)
    assert (code, "") == (done.code, done.out), done.err
    assert message in done.err
    assert "Traceback" not in done.err
    assert 1 == done.err.count("\n")
    assert done.err.startswith("cachegrid: ")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("valkey://db-1,db-2", "valkey://db-1,db-2"),
        ("valkeys://app:hush@db-1:7001", "valkeys://app:***@db-1:7001"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock"),
        ("memory://shared", "memory://shared"),
    ],
)
def test_the_url_that_is_said_is_printed(said: str, shown: str) -> None:
    """
    Of a grid elsewhere, too; its password only on demand. Nothing is asked of it.
    """
    assert (0, f"{shown}\n", "") == here("url", CACHEGRID_URL=said)
    assert {"name": "", "url": shown} == here("url", "--url", said, "--json").told
    assert f"{said}\n" == here("url", "--show-password", CACHEGRID_URL=said).out
    assert 3 == here("url", "--name", "shop", CACHEGRID_URL=said).code


@pytest.mark.parametrize("words", [["--debug", "status"], ["status", "--debug"]])
def test_debug_shows_where_an_error_comes_from(words: list[str]) -> None:
    """
    Wherever it stands; the line at the end is the same.
    """
    done = cachegrid(*words)
    assert 3 == done.code
    assert "Traceback" in done.err
    assert done.err.endswith("start one with: cachegrid up\n")


def test_after_two_dashes_debug_is_a_value() -> None:
    """
    Like anything else there.
    """
    assert 0 == cachegrid("set", "--url", "memory://", "c", "k", "--", "--debug").code


def test_a_damaged_state_folder_is_named(state_folder: Path) -> None:
    """
    With the file that cannot be read.
    """
    broken = state_folder / "default"
    broken.mkdir(parents=True)
    (broken / "grid.json").write_text("{")
    (broken / "secrets.json").write_text("{}")
    done = cachegrid("status", "--name", "default")
    assert 4 == done.code
    assert str(broken) in done.err


def test_what_the_terminal_cannot_show_is_written_in_escapes() -> None:
    """
    Instead of failing.
    """
    done = cachegrid("keys", "c", "--name", "größe", PYTHONIOENCODING="ascii")
    assert 2 == done.code
    assert "gr\\xf6\\xdfe" in done.err


def test_without_a_command_the_help_is_shown() -> None:
    """
    As a wrong command line, for scripts.
    """
    done = cachegrid()
    assert (2, True) == (done.code, "Usage: cachegrid" in done.out + done.err)

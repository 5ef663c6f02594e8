"""What a command takes is in the pages for those who run grids, and none of them tells of what no command takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cachegrid.cli.app import app

PAGES = Path(__file__).parents[2] / "docs"
TEXT = "\n".join((PAGES / name).read_text() for name in ("cli.md", "operations.md", "deploy.md", "access.md"))
# Said once for all commands.
COMMON = {"--json", "--name", "--url", "--config", "--dry-run"}


def options() -> Iterator[tuple[str, str]]:
    """Each command with each option that it shows."""
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        for parameter in command.params:
            shown = [one for one in parameter.opts if one.startswith("--") and not getattr(parameter, "hidden", False)]
            yield from ((name, one) for one in shown)


def parts() -> list[str]:
    """Each section of the pages, with its heading."""
    return re.split(r"\n(?=#)", TEXT)


OPTIONS = sorted({*options()})


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=[" ".join(each) for each in OPTIONS])
def test_an_option_is_told_of(command: str, option: str) -> None:
    """Where its command is."""
    is_said = re.compile(rf"{option}(?![a-z-])")
    where = [part for part in parts() if is_said.search(part)]
    if option not in COMMON:
        is_named = re.compile(rf"\b{command}\b", re.IGNORECASE)
        where = [part for part in where if is_named.search(part)]
    assert where


def test_no_option_is_told_of_that_its_command_does_not_take() -> None:
    """In the examples, as far as these are commands of ours."""
    taken = {*options()} | {(name, "--help") for name, _ in options()} | {(name, "--debug") for name, _ in options()}
    wrong = [
        f"{command} {option}"
        for command, rest in re.findall(r"^\$? *cachegrid ([a-z]+)([^\n#|]*)$", TEXT, re.MULTILINE)
        for option in re.findall(r"(?<=\s)--[a-z-]+", rest)
        if (command, option) not in taken
    ]
    assert [] == wrong

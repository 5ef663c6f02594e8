"""
Pins everything that the package, its extras and its tools need: `constraints.txt`.

    python tools/constraints.py            resolve anew, for every Python and system we run on
    python tools/constraints.py --check    fail unless this environment is what the pins say

The pins hold no hashes and no address of an index, so that they install from whatever index a machine uses.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

__all__ = ["differences", "main", "pins", "resolve"]

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "constraints.txt"
OLDEST = "3.11"
HEADER = "# Made by tools/constraints.py. Pins for every supported Python and system; no hashes, no index.\n"
# The environment's own tools, and ourselves.
UNPINNED = {"cachegrid", "pip", "setuptools", "wheel"}
# What builds the package and its dependencies: installed first, for pip's builds in isolation know no constraints.
BUILDERS = ["hatchling", "editables", "setuptools>=77"]


def resolve() -> str:
    """The newest versions that fit together; needs an index to ask."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "bin", "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
        builders = Path(folder, "builders.in")
        builders.write_text("\n".join(BUILDERS), encoding="utf-8")
        command = [str(python), "-m", "uv", "pip", "compile", "--quiet", "--universal", "--all-extras", "--no-annotate"]
        command += ["--no-header", "--no-emit-index-url", "--python-version", OLDEST, "pyproject.toml", str(builders)]
        return HEADER + subprocess.check_output(command, cwd=ROOT, text=True)


def pins(text: str) -> Iterator[Requirement]:
    """The pins that count for the running Python, here."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            if pin.marker is None or pin.marker.evaluate():
                yield pin


def differences(text: str) -> Iterator[str]:
    """Where this environment, or pyproject.toml, is not what the pins say."""
    for line in text.splitlines():
        if "://" in line or "--" in line:
            yield f"{line!r} is no plain pin"
            return
    pinned = {canonicalize_name(pin.name): pin for pin in pins(text)}
    for found in distributions():
        name = canonicalize_name(found.name)
        if name in UNPINNED:
            continue
        if name not in pinned:
            yield f"{name} {found.version} is installed, and not pinned"
        elif not pinned[name].specifier.contains(found.version, prereleases=True):
            yield f"{name} {found.version} is installed, and the pin is {pinned[name]}"
    for name in _asked_for():
        if name not in pinned:
            yield f"{name} is asked for in pyproject.toml, and not pinned"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if all is well."""
    parser = argparse.ArgumentParser(description="Pin what the package, its extras and its tools need.")
    parser.add_argument("--check", action="store_true", help="compare this environment with the pins; asks no index")
    if not parser.parse_args(arguments).check:
        TARGET.write_text(resolve(), encoding="utf-8")
        return 0
    problems = list(differences(TARGET.read_text(encoding="utf-8")))
    for problem in problems:
        print(problem)
    if problems:
        print("Run `make clean` for a new environment, or `python tools/constraints.py` for new pins.")
    return 1 if problems else 0


def _asked_for() -> set[NormalizedName]:
    """What pyproject.toml asks for, here, in any extra."""
    project = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    wanted = [Requirement(line) for line in lines]
    names = {canonicalize_name(need.name) for need in wanted if need.marker is None or need.marker.evaluate()}
    return {name for name in names if name not in UNPINNED}


if __name__ == "__main__":
    sys.exit(main())

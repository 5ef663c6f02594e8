"""
Finds the examples of a page or a docstring, and runs them as a reader would.

What runs, and what does not, is told in CONTRIBUTING.md under "Examples run".
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import doctest
import inspect
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Block", "Program", "blocks", "run_page"]

FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<word>[\w-]*)[^`\n]*\n(?P<code>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
NOT_RUN = re.compile(r"<!-- not run: \S.*-->\s*\Z")  # a reason is asked for
NEW_PROGRAM = re.compile(r"<!-- new program -->\s*\Z")
FILE = re.compile(r"\A# (?P<name>[\w.-]+\.(?:toml|py))\n")
COMMAND = re.compile(r"^\$ (?P<words>(?:cachegrid|python) .*)$", re.MULTILINE)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A fenced block of a page: its language, its text, and the line of the page it starts at."""

    language: str
    code: str
    line: int
    is_first: bool  # of a program

    @property
    def file(self) -> str | None:
        """The file it shows, if its first line is a comment that names one."""
        match = FILE.match(self.code)
        return match["name"] if match else None


class Program:
    """Code that shares its names, as one file would; a top-level `await` works, too."""

    def __init__(self, name: str) -> None:
        self.names: dict[str, Any] = {"__name__": name}
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """End its event loop."""
        self._runner.close()

    def run(self, code: str, file: str, line: int, mode: str = "exec") -> None:
        """Run code that stands at a line of a file; tracebacks point there."""
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compiled = compile("\n" * (line - 1) + code, file, mode, flags, dont_inherit=True)
        result = eval(compiled, self.names)  # noqa: S307 - examples of ours
        if inspect.iscoroutine(result):
            self._runner.run(result)

    def run_session(self, text: str, file: str, line: int) -> None:
        """Run what a reader would type at `>>>`, and compare what they would see."""
        checker = doctest.OutputChecker()
        for example in doctest.DocTestParser().get_examples(text):
            at = line + example.lineno
            got = self._shown(example, file, at)
            if not checker.check_output(example.exc_msg or example.want, got, OPTIONS):
                difference = checker.output_difference(example, got, OPTIONS)
                raise AssertionError(f"{file}:{at}: {example.source}{difference}")

    def _shown(self, example: doctest.Example, file: str, line: int) -> str:
        """What a reader sees: the output, or the last line of the traceback they were told of."""
        shown = io.StringIO()
        try:
            with contextlib.redirect_stdout(shown):
                self.run(example.source, file, line, "single")
        except Exception as error:
            if example.exc_msg is None:
                raise
            return f"{type(error).__name__}: {error}\n"
        finally:
            vars(builtins).pop("_", None)
        return shown.getvalue()


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a page that are to be run."""
    last = 0
    for match in FENCE.finditer(text):
        before, last = text[last : match.start()], match.end()
        if NOT_RUN.search(before):
            continue
        code = re.sub(rf"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        line = text.count("\n", 0, match.start("code")) + 1
        yield Block(match["word"], code, line, is_first=bool(NEW_PROGRAM.search(before)))


def run_page(path: Path, name: str) -> None:
    """Run the examples of a page in order, in the current folder."""
    program = Program("__main__")
    try:
        for block in blocks(path.read_text(encoding="utf-8")):
            if block.is_first:
                program.close()
                program = Program("__main__")
            _run_block(program, block, name)
    finally:
        program.close()


def _run_block(program: Program, block: Block, page: str) -> None:
    if block.file is not None:
        Path(block.file).write_text(block.code, encoding="utf-8")
    elif block.language == "pycon" or (block.language == "python" and block.code.startswith(">>> ")):
        program.run_session(block.code, page, block.line)
    elif block.language == "python":
        program.run(block.code, page, block.line)
    elif block.language == "console":
        for match in COMMAND.finditer(block.code):
            _run_command(match["words"], f"{page}:{block.line + block.code.count(chr(10), 0, match.start())}")


def _run_command(words: str, where: str) -> None:
    program, _, rest = words.partition(" ")
    start = f"{sys.executable} -m cachegrid" if program == "cachegrid" else sys.executable
    # By a shell, as the reader would: quotes, pipes and variables mean what they mean there.
    run = subprocess.run(f"{start} {rest}", shell=True, check=False, timeout=60)  # noqa: S602 - our own pages
    if run.returncode:
        raise AssertionError(f"{where}: $ {words}: exit code {run.returncode}")


if __name__ == "__main__":
    run_page(Path(sys.argv[1]), sys.argv[2])

"""
Writes the sync flow from the async one: every `_aio` package or module gets a generated twin `_sio` beside it.

    python tools/colour.py            write the twins, and remove left-over ones
    python tools/colour.py --check    change nothing; fail if a twin differs, is missing, or is left over

Paths given besides limit the work to what lies under them. A source whose first line is
`# hand-written in both colours` is left alone; its twin must be there, written by hand, and say the same.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["HAND_WRITTEN", "Finding", "colour", "examine", "main", "tidy"]

ROOT = Path(__file__).resolve().parent.parent
TREES = ("src/cachegrid", "tests")
HAND_WRITTEN = "# hand-written in both colours"
GENERATED = "# Generated from {source} by tools/colour.py. Edit that file, then run `make colour`."

WORDS = {
    "AbstractAsyncContextManager": "AbstractContextManager",
    "AsyncContextManager": "ContextManager",
    "AsyncExitStack": "ExitStack",
    "AsyncGenerator": "Generator",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "_aio": "_sio",
    "aclose": "close",
    "aclosing": "closing",
    "aconnect": "connect",
    "aiter": "iter",
    "anext": "next",
    "asynccontextmanager": "contextmanager",
    "enter_async_context": "enter_context",
    "push_async_callback": "callback",
    "push_async_exit": "push",
}
WRAPPERS = ("Awaitable", "Coroutine")  # `Awaitable[X]` and `Coroutine[Any, Any, X]` become `X`

# What only a coloured file can need: imports that have lost their use or their order, `X | X`, `(x)`.
FIXES = "F401,I001,PYI016,RUF022,UP034"

_PREFIX = re.compile(r"(_*)Async(?=[A-Z])")
_NAME = re.compile(r"\b[A-Za-z_]\w*\b")
_KEYWORD = re.compile(r"\bawait (?=[\w(\[{'\"])|\basync (?=def\b|with\b|for\b)")
_ARTICLE = re.compile(r"\b([Aa])n( `*_*Sync[A-Z])")
_WRAPPER = re.compile(rf"\b(?:[\w.]+\.)?(?:{'|'.join(WRAPPERS)})\[")


class Edit(NamedTuple):
    """Replaces the characters from `start` to `end`."""

    start: int
    end: int
    text: str


class Piece(NamedTuple):
    """A token, or a whole f-string, with its place in characters from the start of the source."""

    kind: int
    text: str
    start: int
    end: int


class Finding(NamedTuple):
    """What is wrong with a twin, and what it should hold; None means that it should not be there."""

    path: Path
    problem: str
    content: str | None = None
    is_ours: bool = True  # False: a person has to put it right


def colour(source: str) -> str:
    """
    The sync form of an async module. Line breaks stay where they were; `tidy` formats the result.

    >>> colour("async with aconnect() as grid: await grid.aclose()")
    'with connect() as grid: grid.close()'
    >>> colour("def run(load: Callable[[str], Awaitable[int]]) -> AsyncCache: ...")
    'def run(load: Callable[[str], int]) -> SyncCache: ...'
    """
    pieces = list(_pieces(source))
    edits = sorted([*_word_edits(source, pieces), *_unwrap_edits(pieces)])
    parts, at = [], 0
    for edit in edits:
        if edit.start < at:  # inside something an earlier edit has removed already
            continue
        parts += [source[at : edit.start], edit.text]
        at = edit.end
    return "".join(parts) + source[at:]


def tidy(source: str, path: Path) -> str:
    """Format a coloured module as the project does, without the imports it no longer uses."""
    ruff = [sys.executable, "-m", "ruff"]
    at = ["--quiet", "--stdin-filename", str(path), "-"]
    for command in (
        [*ruff, "check", "--fix-only", "--exit-zero", "--select", FIXES, *at],
        [*ruff, "format", *at],
    ):
        run = subprocess.run(command, input=source, capture_output=True, text=True, check=False, cwd=ROOT)
        if run.returncode:
            message = f"{path}: {run.stderr.strip()}"
            raise SyntaxError(message)
        source = run.stdout
    return source


def examine(root: Path, within: Sequence[Path] = ()) -> Iterator[Finding]:
    """Everything about the twins under `root` that is not as it should be."""
    wanted = set()
    for source in _colour_files(root, "_aio", within):
        twin = _twin(source, "_aio", "_sio")
        wanted.add(twin)
        yield from _compare(root, source, twin)
    for twin in _colour_files(root, "_sio", within):
        if twin not in wanted and not _twin(twin, "_sio", "_aio").exists():
            yield Finding(twin, "is left over: it has no source", None, _is_generated(twin))


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; 0 if the twins are as they should be, or have been made so."""
    parser = argparse.ArgumentParser(description="Write the sync flow from the async one.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a twin is not as it should be")
    parser.add_argument("paths", nargs="*", type=Path, help="only what lies under these")
    options = parser.parse_args(arguments)
    failures = 0
    for finding in examine(root, [path.resolve() for path in options.paths]):
        place = finding.path.relative_to(root)
        if options.check or not finding.is_ours:
            print(f"{place} {finding.problem}")
            failures += 1
        else:
            _apply(finding)
            print(f"{place} {'written' if finding.content is not None else 'removed'}")
    if failures and options.check:
        print("Edit the file under _aio, never its twin, and run `make colour`.")
    return 1 if failures else 0


def _compare(root: Path, source: Path, twin: Path) -> Iterator[Finding]:
    if _first_line(source) == HAND_WRITTEN:
        if not twin.exists():
            yield Finding(twin, "is missing: it is written by hand, as its source is", is_ours=False)
        elif _first_line(twin) != HAND_WRITTEN:
            yield Finding(twin, f"does not begin with {HAND_WRITTEN!r}, as its source does", is_ours=False)
        return
    mark = GENERATED.format(source=source.relative_to(root).as_posix())
    try:
        content = tidy(f"{mark}\n{colour(source.read_text(encoding='utf-8'))}", twin)
    except (SyntaxError, tokenize.TokenError) as error:
        yield Finding(twin, f"cannot be made: {error}", is_ours=False)
        return
    if not twin.exists():
        yield Finding(twin, "is missing", content)
    elif twin.read_bytes() != content.encode():
        is_ours = _first_line(twin) != HAND_WRITTEN  # never write over a person's work
        yield Finding(twin, "differs from what its source gives", content, is_ours)


def _apply(finding: Finding) -> None:
    if finding.content is None:
        finding.path.unlink()
        return
    finding.path.parent.mkdir(parents=True, exist_ok=True)
    finding.path.write_text(finding.content, encoding="utf-8", newline="\n")


def _colour_files(root: Path, name: str, within: Sequence[Path]) -> list[Path]:
    """The Python files of every package or module called `name`."""
    found = [
        path
        for tree in TREES
        for path in (root / tree).rglob("*.py")
        if name in path.relative_to(root).with_suffix("").parts
    ]
    return sorted(path for path in found if not within or any(path.is_relative_to(place) for place in within))


def _twin(path: Path, old: str, new: str) -> Path:
    parts = [new if part == old else part for part in path.parts[:-1]]
    return Path(*parts, f"{new}.py" if path.name == f"{old}.py" else path.name)


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().rstrip("\n")


def _is_generated(path: Path) -> bool:
    return _first_line(path).startswith("# Generated from")


def _pieces(source: str) -> Iterator[Piece]:
    """
    The tokens of a source.

    Before 3.12 Python gave an f-string as one token, since then in parts. Here it is always one, so
    that every Python colours alike.
    """
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    depth, opened = 0, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        start, end = (starts[row - 1] + column for row, column in (token.start, token.end))
        name = tokenize.tok_name[token.type]
        if name in {"FSTRING_START", "TSTRING_START"}:
            opened, depth = (start if depth == 0 else opened), depth + 1
        elif name in {"FSTRING_END", "TSTRING_END"}:
            depth -= 1
            if depth == 0:
                yield Piece(tokenize.STRING, source[opened:end], opened, end)
        elif depth == 0:
            yield Piece(token.type, token.string, start, end)


def _word_edits(source: str, pieces: Iterable[Piece]) -> Iterator[Edit]:
    for piece in pieces:
        if piece.kind == tokenize.NAME and piece.text in {"async", "await"}:
            rest = source[piece.end :]
            yield Edit(piece.start, piece.end + len(rest) - len(rest.lstrip(" ")), "")
        elif piece.kind == tokenize.NAME and piece.text != _sync_word(piece.text):
            yield Edit(piece.start, piece.end, _sync_word(piece.text))
        elif piece.kind in {tokenize.STRING, tokenize.COMMENT}:
            yield Edit(piece.start, piece.end, _sync_text(piece.text))


def _unwrap_edits(pieces: Sequence[Piece]) -> Iterator[Edit]:
    """Take `Awaitable[` and its `]` away, and the dotted path in front."""
    for at, piece in enumerate(pieces[:-1]):
        if piece.kind != tokenize.NAME or piece.text not in WRAPPERS or pieces[at + 1].text != "[":
            continue
        first = at
        while pieces[first - 1].text == ".":
            first -= 2
        last, commas = _closing(pieces, at + 1)
        trailing = bool(commas) and all(
            p.kind in {tokenize.NL, tokenize.COMMENT} for p in pieces[commas[-1] + 1 : last]
        )
        inner = commas[:-1] if trailing else commas
        opening = inner[-1] if inner else at + 1
        is_split = any(p.kind == tokenize.NL for p in pieces[at:last])  # then it needs brackets of some kind
        end = pieces[opening].end if is_split else pieces[opening + 1].start
        yield Edit(pieces[first].start, end, "(" if is_split else "")
        if trailing:
            yield Edit(pieces[commas[-1]].start, pieces[commas[-1]].end, "")
        yield Edit(pieces[last].start, pieces[last].end, ")" if is_split else "")


def _closing(pieces: Sequence[Piece], opening: int) -> tuple[int, list[int]]:
    """Where the bracket at `opening` closes, and the commas directly inside it."""
    depth = 0
    commas: list[int] = []
    for at in range(opening, len(pieces)):
        text = pieces[at].text
        if text in {"(", "[", "{"}:
            depth += 1
        elif text in {")", "]", "}"}:
            depth -= 1
            if depth == 0:
                return at, commas
        elif text == "," and depth == 1:
            commas.append(at)
    message = f"a bracket is never closed: {pieces[opening].text}"
    raise SyntaxError(message)


def _sync_word(word: str) -> str:
    return WORDS.get(word) or _PREFIX.sub(r"\1Sync", word, count=1)


def _sync_text(text: str) -> str:
    """Strings and comments: the same words, examples that await, and types in quotes."""
    text = _KEYWORD.sub("", text)
    while (match := _WRAPPER.search(text)) is not None:
        text = text[: match.start()] + _unwrapped(text[match.end() :])
    text = _NAME.sub(lambda match: _sync_word(match[0]), text)
    return _ARTICLE.sub(r"\1\2", text)


def _unwrapped(rest: str) -> str:
    depth, comma = 1, -1
    for at, char in enumerate(rest):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 1:
            comma = at
        if depth == 0:
            return rest[comma + 1 : at].lstrip() + rest[at + 1 :]
    return rest


if __name__ == "__main__":
    sys.exit(main())

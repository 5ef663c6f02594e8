"""
Finds words that have no place in the tree: paths of one machine, addresses of registries, notes of unfinished work.

    python tools/stray.py    list them; 1 if there are any
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["main", "stray_words", "tree"]

ROOT = Path(__file__).resolve().parent.parent

# Each pattern is written so that it does not match itself: this file is looked at, too.
STRAY = {
    r"(?<![\w.])/(?:wor[k]|roo[t])/": "a path of one machine",
    r"\bpyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.|crate[s]\.io|prox[y]\.golang|de[b]\.debian": "a registry's address",
    r"--(?:extra-)?inde[x]-url|--trusted-hos[t]|--find-link[s]": "a choice of registry, which is the machine's",
    r"\bTOD[O]\b|\bFIXM[E]\b|\bXX[X]\b|\bHAC[K]\b": "a note of unfinished work",
    r"\bissues? #?\d+": "a number that only a tracker knows",
    r"^(?:<{7}|={7}|>{7})(?:\s|$)": "a mark of an unfinished merge",
    r"[ \t]+$": "a blank at the end of a line",
}
SCANNED = re.compile("|".join(f"(?P<p{at}>{pattern})" for at, pattern in enumerate(STRAY)))
REASONS = list(STRAY.values())


def stray_words(text: str) -> Iterator[tuple[int, str, str]]:
    """
    The number of each line with a stray word, the word, and why it is one.

    >>> [(number, reason) for number, _, reason in stray_words("TO" + "DO: tidy")]
    [(1, 'a note of unfinished work')]
    """
    for number, line in enumerate(text.splitlines(), start=1):
        for match in SCANNED.finditer(line):
            yield number, match[0], REASONS[int((match.lastgroup or "p0")[1:])]


def tree(root: Path) -> Iterator[Path]:
    """The files that are, or could be, under version control."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in sorted(set(listing.stdout.split("\0"))):
        path = root / name
        if name and path.is_file() and not path.is_symlink():
            yield path


def main(root: Path = ROOT) -> int:
    """Run the command; 0 if nothing stray was found."""
    found = 0
    for path in tree(root):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture, or the like
        for number, word, reason in stray_words(text):
            print(f"{path.relative_to(root)}:{number}: {word!r} is {reason}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Every example of every page runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cachegrid import errors
from tests.docs.examples import blocks, run_page

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    if any(block.language in {"python", "pycon", "console"} for block in blocks(page.read_text(encoding="utf-8")))
)


@pytest.mark.grid
@pytest.mark.usefixtures("_ends_grids")
@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """
    In order, each page in a process, a folder and a state folder of its own.
    """
    command = [sys.executable, "-W", "error", "-m", "tests.docs.examples", str(page), page.name]
    run = subprocess.run(
        command, cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=100, check=False
    )
    assert 0 == run.returncode, f"{run.stdout}\n{run.stderr}"


@pytest.mark.grid
@pytest.mark.slow
@pytest.mark.usefixtures("_ends_grids")
def test_pages_are_read_one_after_the_other(tmp_path: Path) -> None:
    """
    By a reader whose grid stays up: no page stumbles over what one before it has left there.
    """
    pages = [ROOT / "docs" / f"{name}.md" for name in ("api", "functions", "dropping", "through", "events")]
    for page in pages:
        (tmp_path / page.stem).mkdir()
        command = [sys.executable, "-W", "error", "-m", "tests.docs.examples", str(page), page.name]
        run = subprocess.run(
            command,
            cwd=tmp_path / page.stem,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert 0 == run.returncode, f"{run.stdout}\n{run.stderr}"


def test_every_error_is_in_the_table_of_errors() -> None:
    """
    With what happened.
    """
    table = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("| error | what happened |")[2]
    told = {name for row in table.partition("\n\n")[0].splitlines() for name in re.findall(r"`(\w+)`", row)}
    assert [] == sorted(set(errors.__all__) - {"CacheError"} - told)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}


PAGE = """
Text, and `code`.

```python
import os
seen = [1]
```

1.  An item:

    ```python
    seen.append(2)
    value = await other()
    ```

<!-- not run: it needs a second host -->

```python
raise SystemExit("never")
```

```python
# settings.py
PLACE = "here"
```

```console
$ python settings.py
$ make demo
$ python -c "import settings; assert settings.PLACE == 'here'"
```

```pycon
>>> seen
[1, 2]
>>> {}["no"]
Traceback (most recent call last):
KeyError: 'no'
>>> await other()
5
```

<!-- new program -->

```python
assert "seen" not in globals()
```
"""


def test_a_page_is_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Blocks share their names until a new program begins; sessions are compared; files and commands are real.
    """
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("import os", "import os\nasync def other(): return 5"))
    run_page(page, "page.md")
    assert 'PLACE = "here"' in (tmp_path / "settings.py").read_text()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("```python\n1 / 0\n```", "division by zero"),
        ("```pycon\n>>> 1 + 1\n3\n```", "page.md:2: 1 \\+ 1"),
        ("```pycon\n>>> int('1')\nTraceback (most recent call last):\nValueError: no\n```", "page.md:2"),
        ("```console\n$ python -c 'raise SystemExit(3)'\n```", "page.md:2: .* exit code 3"),
        ("<!-- not run: -->\n```python\n1 / 0\n```", "division by zero"),
    ],
)
def test_a_broken_example_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, message: str
) -> None:
    """
    And the error says where it stands.
    """
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"{broken}\n")
    with pytest.raises((ArithmeticError, AssertionError), match=message):
        run_page(page, "page.md")

"""
Python programs in the hosts of a test, as children of one that has imported the command already.

Most of what a short command costs is the start of Python, and there are hundreds of them. As a program this is the
parent: a line of JSON is what a child shall be, and another one how it ended.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["end", "run"]

NETWORK = 0x40000000  # CLONE_NEWNET
LEAVES = ("cachegrid.cli", "cachegrid.cluster")  # which import much when they are used


def run(
    namespace: str, words: Sequence[str], environ: Mapping[str, str], stdin: str, timeout: float
) -> subprocess.CompletedProcess[str]:
    """What `python` with these words does in a network namespace. Raises TimeoutExpired."""
    asked = {"namespace": namespace, "words": words, "environ": dict(environ), "stdin": stdin, "cwd": str(Path.cwd())}
    parent = _parent()
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(json.dumps(asked) + "\n")
    parent.stdin.flush()
    if not select.select([parent.stdout], [], [], timeout)[0]:
        end()
        raise subprocess.TimeoutExpired(list(words), timeout)
    told = json.loads(parent.stdout.readline())
    return subprocess.CompletedProcess(["python", *words], told["code"], told["stdout"], told["stderr"])


def end() -> None:
    """End the parent, if there is one."""
    if _parent.cache_info().currsize:
        parent = _parent()
        parent.kill()
        parent.communicate()
        _parent.cache_clear()


@functools.cache
def _parent() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _serve() -> None:
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as failed:
            child = os.fork()
            if not child:
                os.dup2(told.fileno(), 1)
                os.dup2(failed.fileno(), 2)
                _be_child(json.loads(line))
            _, status = os.waitpid(child, 0)
            told.seek(0)
            failed.seek(0)
            ended = {"code": os.waitstatus_to_exitcode(status), "stdout": told.read(), "stderr": failed.read()}
        sys.stdout.write(json.dumps(ended) + "\n")
        sys.stdout.flush()


def _be_child(asked: dict[str, Any]) -> NoReturn:
    """Ends without a word to what was imported: that takes longer than most commands."""
    code: object = 1
    try:
        _become(asked)
        code = 0
    except SystemExit as error:
        code = error.code or 0
    except BaseException:  # noqa: BLE001 - whatever it is, Python would show it and end
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def _become(asked: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(asked["environ"])
    os.chdir(asked["cwd"])
    with tempfile.TemporaryFile("w+") as said:
        said.write(asked["stdin"])
        said.seek(0)
        os.dup2(said.fileno(), 0)
    sys.stdin = os.fdopen(0)
    with Path("/run/netns", asked["namespace"]).open() as there:
        if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), NETWORK):
            raise OSError(ctypes.get_errno(), f"{asked['namespace']} cannot be entered")
    how, *rest = asked["words"]
    if how == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102 - as `python -c` does
    elif how == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [how, *rest]
        runpy.run_path(how, run_name="__main__")


if __name__ == "__main__":
    for leaf in LEAVES:
        package = importlib.import_module(leaf)
        for module in pkgutil.walk_packages(package.__path__, f"{leaf}."):
            importlib.import_module(module.name)
    gc.freeze()  # else each child copies it all, only to look at it
    _serve()

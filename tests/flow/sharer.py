"""A program that shares what it counts, and ends in one way or another; what it has counted it prints before."""

from __future__ import annotations

import json
import os
import sys
from threading import Thread

import cachegrid
from cachegrid import SyncGrid
from cachegrid._core.sharing import counts_of

THREADS = 4


def use(grid: SyncGrid, times: int) -> None:
    """Hits, misses and loads by several threads at once: so many of each by each thread."""
    prices = grid.cache("prices")
    prices["key"] = 1

    def work(thread: int) -> None:
        for number in range(times):
            prices.get("key")
            prices.get("none")
            prices.get_or_load((os.getpid(), thread, number, times), lambda: 1)

    threads = [Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def say(line: str) -> None:
    """Tell whoever has begun this."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def tell(grid: SyncGrid) -> None:
    """Print what this process counted."""
    say(json.dumps(counts_of(grid.stats()).get("prices", {})))


def in_child(grid: SyncGrid, times: int, *, closes: bool) -> None:
    """Count in a forked child, too, and go on when it has ended; where it does not close, when it is told to."""
    child = os.fork()
    if child == 0:
        use(grid, times)
        tell(grid)
        if closes:
            grid.close()
        else:
            sys.stdin.read()
        os._exit(0)
    os.waitpid(child, 0)


def main(url: str, namespace: str, how: str, times: str, every: str) -> None:
    """`how`: close, exit, fork, leave, which forks a child that does not close, or wait, which is to be killed."""
    grid = cachegrid.connect(url, namespace=namespace, share_stats=every)
    use(grid, int(times))
    if how == "wait":
        grid.shared_stats()
    tell(grid)
    if how == "wait":
        use(grid, 1)  # which it will not have told
        say("counted more")
        sys.stdin.read()
    if how in ("fork", "leave"):
        in_child(grid, 3, closes=how == "fork")
    if how in ("close", "fork"):
        grid.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

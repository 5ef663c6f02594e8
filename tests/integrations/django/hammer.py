"""
Many processes read rows of Django's ORM from a grid, and write them to PostgreSQL, at once.

    python -m tests.integrations.django.hammer --seconds 60
    python -m tests.integrations.django.hammer --without marks      leave out a rule, and see what it is for

As the hammer of SQLAlchemy's queries: each read is judged by what was committed before it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import psycopg

from cachegrid.testing.loopback import LoopbackGrid
from tests.integrations.sqlalchemy.hammer import ROWS, RULES, Outcome, as_command, ordered, run
from tests.integrations.sqlalchemy.hammering import Orders
from tests.integrations.sqlalchemy.server import Postgres

__all__ = ["hammer"]

WORKER: Final = "tests.integrations.django.hammering"
TABLES: Final = """
drop table if exists hammer_entry_{0}; drop table if exists hammer_account_{0};
create table hammer_account_{0} (id int primary key, version bigint not null);
create table hammer_entry_{0} (account_id int primary key references hammer_account_{0}, version bigint not null);
insert into hammer_account_{0} select id, 0 from generate_series(0, {1}) id;
insert into hammer_entry_{0} select id, 0 from generate_series(0, {1}) id;
"""


def hammer(
    seconds: float,
    server: Postgres,
    grid: LoopbackGrid,
    *,
    without: str = "",
    processes: int = 2,
    is_near: bool = False,
) -> Outcome:
    """Hammer for so long, with one process more than `processes`; `without` leaves out one of `RULES`."""
    with psycopg.connect(f"host=127.0.0.1 port={server.port} user=cachegrid dbname=postgres") as connection:
        for number in range(processes + 1):
            connection.execute(TABLES.format(number, ROWS - 1).encode())
    with tempfile.TemporaryDirectory(prefix="cg-hammer-") as folder:
        board = Path(folder) / "board"
        board.write_bytes(bytes(8 * (ROWS + 1)))  # and a word to stop
        first = Orders(
            url=str(server.port),
            grid=grid.url,
            board=str(board),
            colour="sync",
            number=0,
            writers=processes,
            rows=ROWS,
            seconds=seconds,
            without=without,
            is_near=is_near,
        )
        return run(ordered(first, ("sync",)), WORKER)


if __name__ == "__main__":
    as_command(hammer, RULES, "Hammer cached rows of Django's ORM over PostgreSQL.")

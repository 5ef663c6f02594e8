"""
A shop whose reports take long. Start it as often as you like: one process works on a report, and all have it.

    python app.py 8001
    python app.py 8002
    curl localhost:8001/reports/may                 made by the first
    curl localhost:8002/reports/may                 not made again
    curl -X PUT localhost:8002/sales/may/250        one more sale: the report is made anew when somebody asks for it
"""

import json
import os
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from dogpile.cache import make_region

DATABASE = os.environ.get("SHOP_DATABASE", "shop.sqlite3")
region = make_region().configure(
    "cachegrid",
    expiration_time=300,  # seconds until one makes it anew, while the others still get the old one
    arguments={
        "url": os.environ.get("SHOP_GRID"),  # such as valkey://a:7001,b:7001; None: the grid of this host
        "cache": "reports",
        "ttl": "1d",  # for how long it is kept at all
    },
)


def query(statement: str, *values: object) -> list[tuple[int, int]]:
    """The rows that a statement gives."""
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS sales (month TEXT, amount INTEGER)")
        return database.execute(statement, values).fetchall()


def report(month: str) -> object:
    """What was sold in a month, added up by one process for all."""
    return region.get_or_create(month, add_up, creator_args=((month,), {}))


def add_up(month: str) -> object:
    """The slow part."""
    [(count, total)] = query("SELECT COUNT(*), COALESCE(SUM(amount), 0) FROM sales WHERE month = ?", month)
    return {"sales": count, "total": total, "made_by": os.getpid()}


def sell(month: str, amount: str) -> object:
    """One more sale: what reports had is dropped for all processes, but by one that adds up at this moment."""
    query("INSERT INTO sales VALUES (?, ?)", month, int(amount))
    region.delete(month)
    return {"sold_by": os.getpid()}


def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    """The shop's pages."""
    _, *names = environ["PATH_INFO"].strip("/").split("/")
    answer = sell(*names) if environ["REQUEST_METHOD"] == "PUT" else report(*names)
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


class Quiet(WSGIRequestHandler):
    """Tells of no requests."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = make_server("127.0.0.1", int(sys.argv[1]), app, handler_class=Quiet)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()

"""
A shop whose menu is slow to make. Start it as often as you like: what one process has made, all serve.

    python wsgi_app.py 8001
    python wsgi_app.py 8002
    curl -i -H "Host: shop" localhost:8001/menu                     made by the first
    curl -i -H "Host: shop" localhost:8002/menu                     not again: see Cache-Status and Age
    curl -X POST localhost:8002/dishes/soup                         now it is to be made anew
    curl -i -H "Host: shop" -H "Cookie: id=ann" localhost:8001/cart made each time, and kept nowhere

The host is the one that a proxy in front of both would name: pages of two hosts are two pages.
"""

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any
from wsgiref.simple_server import make_server

import cachegrid
from cachegrid.integrations.wsgi import CachedResponses, purge

DATABASE = os.environ.get("SHOP_DATABASE", "wsgi-shop.sqlite3")
FOR_ALL = [("Cache-Control", "public, max-age=60, stale-while-revalidate=30"), ("Cache-Tag", "dishes")]
grid = cachegrid.connect(os.environ.get("SHOP_GRID"))  # such as valkey://a:7001,b:7001; None: the grid of this host
pages = grid.cache("wsgi-pages")  # of this shop, which is none of the other one's


def query(statement: str, *values: object) -> list[tuple[str]]:
    """The rows that a statement gives."""
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS dishes (name TEXT PRIMARY KEY)")
        return database.execute(statement, values).fetchall()


def shop(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The menu, for everybody; a cart, for one; and a new dish."""
    *_, name = environ["PATH_INFO"].split("/")
    if environ["REQUEST_METHOD"] == "POST":
        query("INSERT OR IGNORE INTO dishes VALUES (?)", name)
        purge(pages, "dishes")  # after the change, for all processes
        start_response("204 No Content", [])
        return []
    said: dict[str, Any] = {"made_by": os.getpid()}
    if name == "menu":
        said["dishes"] = [dish for (dish,) in query("SELECT name FROM dishes ORDER BY name")]
    else:
        said["of"] = environ.get("HTTP_COOKIE", "").removeprefix("id=") or None
    start_response("200 OK", [("Content-Type", "application/json"), *(FOR_ALL if name == "menu" else [])])
    return [json.dumps(said).encode()]


app = CachedResponses(shop, pages)

if __name__ == "__main__":
    query("INSERT OR IGNORE INTO dishes VALUES ('bread'), ('tea')")  # to begin with
    with make_server("127.0.0.1", int(sys.argv[1]), app) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()

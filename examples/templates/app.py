"""
A shop whose menu is slow to render. Start it as often as you like: what one process has rendered, all show.

    python app.py 8001
    python app.py 8002
    curl localhost:8001/ann                      the menu is rendered by the first
    curl localhost:8002/bob                      and not again for Bob
    curl -X POST localhost:8002/dishes/soup      now both show the soup
"""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any
from wsgiref.simple_server import make_server

from jinja2 import DictLoader, Environment

import cachegrid
from cachegrid.integrations.jinja2 import cache_fragments

DATABASE = os.environ.get("SHOP_DATABASE", "shop.sqlite3")
PAGE = """<h1>Good day, {{ name }}</h1>
{% cache "menu", ttl="1h", tags=["dishes"] %}
<ul>{% for dish in dishes() %}<li>{{ dish }}</li>{% endfor %}</ul>
<p>rendered by {{ process }}</p>
{% endcache %}
"""

grid = cachegrid.connect(os.environ.get("SHOP_GRID"))  # such as valkey://a:7001,b:7001; None: the grid of this host
fragments = grid.cache("fragments")
templates = Environment(loader=DictLoader({"page.html": PAGE}), autoescape=True)
cache_fragments(templates, fragments)


def query(statement: str, *values: object) -> list[tuple[str]]:
    """The rows that a statement gives."""
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS dishes (name TEXT PRIMARY KEY)")
        return database.execute(statement, values).fetchall()


def dishes() -> Iterator[str]:
    """What there is to eat."""
    return (name for (name,) in query("SELECT name FROM dishes ORDER BY name"))


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The page of a guest, or a new dish."""
    *_, name = environ["PATH_INFO"].split("/")
    if environ["REQUEST_METHOD"] == "POST":
        query("INSERT OR IGNORE INTO dishes VALUES (?)", name)
        fragments.invalidate("dishes")  # after the change, for all processes
        start_response("204 No Content", [])
        return []
    page = templates.get_template("page.html").render(name=name, dishes=dishes, process=os.getpid())
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [page.encode()]


if __name__ == "__main__":
    query("INSERT OR IGNORE INTO dishes VALUES ('bread'), ('tea')")  # to begin with
    with make_server("127.0.0.1", int(sys.argv[1]), app) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()

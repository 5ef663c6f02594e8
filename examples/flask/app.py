"""
A shop whose prices are slow to find. Start it as often as you like: what one process has found, all know.

    python app.py 8001
    python app.py 8002
    curl localhost:8001/prices/tea                  found by the first
    curl localhost:8002/prices/tea                  not found again
    curl -X PUT localhost:8002/prices/tea/4.50      and the first tells the new one, too
"""

import os
import sqlite3
import sys
from contextlib import closing

from flask import Flask, Response, jsonify
from flask_caching import Cache
from werkzeug.serving import make_server

DATABASE = os.environ.get("SHOP_DATABASE", "shop.sqlite3")
app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ.get("SHOP_SECRET_KEY", "for an example"),
    CACHE_TYPE="cachegrid.integrations.flask_caching.CacheGridCache",
    CACHE_CACHEGRID_URL=os.environ.get("SHOP_GRID"),  # such as valkey://a:7001,b:7001; None: the grid of this host
    CACHE_KEY_PREFIX="shop",
    CACHE_DEFAULT_TIMEOUT=600,
)
cache = Cache(app)


def query(statement: str, *values: object) -> list[tuple[str, str]]:
    """The rows that a statement gives."""
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS prices (name TEXT PRIMARY KEY, price TEXT)")
        return database.execute(statement, values).fetchall()


@cache.memoize()
def price_of(name: str) -> dict[str, object]:
    """What something costs, and which process had to look."""
    rows = query("SELECT name, price FROM prices WHERE name = ?", name)
    return {"price": rows[0][1] if rows else None, "found_by": os.getpid()}


@app.get("/prices/<name>")
def show(name: str) -> Response:
    """One price."""
    return jsonify(price_of(name))


@app.get("/prices")
@cache.cached(key_prefix="all prices")
def show_all() -> Response:
    """All of them: the whole answer is kept."""
    return jsonify(prices=dict(query("SELECT name, price FROM prices ORDER BY name")), found_by=os.getpid())


@app.put("/prices/<name>/<price>")
def change(name: str, price: str) -> Response:
    """Another price: what was found before is forgotten, by all processes."""
    query("INSERT OR REPLACE INTO prices VALUES (?, ?)", name, price)
    cache.delete_memoized(price_of, name)
    cache.delete("all prices")
    return jsonify(changed_by=os.getpid())


if __name__ == "__main__":
    query("INSERT OR IGNORE INTO prices VALUES ('jam', '3.20'), ('tea', '5.00')")  # to begin with
    server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()

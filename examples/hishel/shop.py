"""
A shop that asks a supplier for its prices. Start it as often as you like: he is asked once, for all processes.

    python supplier.py 8000
    python shop.py 8001
    python shop.py 8002
    curl localhost:8001/                            asked of the supplier by the first
    curl localhost:8002/                            not asked again, for as long as the supplier said
    curl -X PUT localhost:8002/prices/tea/5.00      changed there, and forgotten by all
"""

import json
import os
import sys
from collections.abc import Iterable
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
from hishel.httpx import CacheClient

import cachegrid
from cachegrid.integrations.hishel import SyncGridStorage

SUPPLIER = os.environ.get("SHOP_SUPPLIER", "http://127.0.0.1:8000")
grid = cachegrid.connect(os.environ.get("SHOP_GRID"))  # such as valkey://a:7001,b:7001; None: the grid of this host
responses = grid.cache("responses")
client = CacheClient(base_url=SUPPLIER, storage=SyncGridStorage(responses), rfc=True)


def show() -> object:
    """What the supplier says, or has said to some process not long ago."""
    return client.get("/prices").json()


def change(path: str) -> object:
    """Another price there: what it said before is dropped here, by the name of its host."""
    client.put(path).raise_for_status()
    responses.invalidate(tags=httpx.URL(SUPPLIER).host)
    return {"changed_by": os.getpid()}


def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    """The shop's pages."""
    answer = change(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "PUT" else show()
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

"""
A shop whose menu is slow to make. Start it as often as you like: what one process has made, all serve.

    python asgi_app.py 8001
    python asgi_app.py 8002
    curl -i -H "Host: shop" localhost:8001/menu                     made by the first
    curl -i -H "Host: shop" localhost:8002/menu                     not again: see Cache-Status and Age
    curl -X POST localhost:8002/dishes/soup                         now it is to be made anew
    curl -i -H "Host: shop" -H "Cookie: id=ann" localhost:8001/cart made each time, and kept nowhere

The host is the one that a proxy in front of both would name: pages of two hosts are two pages.
"""

import asyncio
import os
import socket
import sqlite3
import sys
from contextlib import closing

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import cachegrid
from cachegrid.integrations.asgi import CachedResponses, purge

DATABASE = os.environ.get("SHOP_DATABASE", "asgi-shop.sqlite3")
grid = cachegrid.aconnect(os.environ.get("SHOP_GRID"))  # such as valkey://a:7001,b:7001; None: the grid of this host
pages = grid.cache("asgi-pages")  # of this shop, which is none of the other one's


def query(statement: str, *values: object) -> list[tuple[str]]:
    """The rows that a statement gives."""
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS dishes (name TEXT PRIMARY KEY)")
        return database.execute(statement, values).fetchall()


async def menu(_request: Request) -> Response:
    """For everybody, for a minute; by its tag it is dropped before that."""
    dishes = await asyncio.to_thread(query, "SELECT name FROM dishes ORDER BY name")
    headers = {"Cache-Control": "public, max-age=60, stale-while-revalidate=30", "Cache-Tag": "dishes"}
    return JSONResponse({"dishes": [name for (name,) in dishes], "made_by": os.getpid()}, headers=headers)


async def cart(request: Request) -> Response:
    """For one: it says no lifetime, and so it is kept nowhere."""
    return JSONResponse({"of": request.cookies.get("id"), "made_by": os.getpid()})


async def add(request: Request) -> Response:
    """One more dish."""
    await asyncio.to_thread(query, "INSERT OR IGNORE INTO dishes VALUES (?)", request.path_params["name"])
    await purge(pages, "dishes")  # after the change, for all processes
    return Response(status_code=204)


app = Starlette(
    routes=[Route("/menu", menu), Route("/cart", cart), Route("/dishes/{name}", add, methods=["POST"])],
    middleware=[Middleware(CachedResponses, cache=pages)],
)

if __name__ == "__main__":
    query("INSERT OR IGNORE INTO dishes VALUES ('bread'), ('tea')")  # to begin with
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as door:
        print(f"http://127.0.0.1:{door.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[door])

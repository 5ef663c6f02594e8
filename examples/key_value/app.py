"""
A shop that keeps its guests' carts in a store. Start it as often as you like: each process knows every cart.

    python app.py 8001
    python app.py 8002
    curl -X PUT localhost:8001/carts/ann/tea/2
    curl localhost:8002/carts/ann                   {"tea": 2}
    curl -X DELETE localhost:8002/carts             all are empty, for all processes
"""

import os
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import cachegrid
from cachegrid.integrations.key_value import CacheGridStore

grid = cachegrid.aconnect(os.environ.get("SHOP_GRID"))  # such as valkey://a:7001,b:7001; None: the grid of this host
store = CacheGridStore(grid.cache("carts"))  # which has this cache to itself
ONE_DAY = 86_400  # seconds that a cart is kept after its guest has changed it


async def show(request: Request) -> Response:
    """What is in a cart."""
    return JSONResponse(await store.get(request.path_params["guest"], collection="carts") or {})


async def put(request: Request) -> Response:
    """So much of something in a cart."""
    guest, name, count = (request.path_params[part] for part in ("guest", "name", "count"))
    cart = await store.get(guest, collection="carts") or {}
    await store.put(guest, {**cart, name: count}, collection="carts", ttl=ONE_DAY)
    return Response(status_code=204)


async def clear(_request: Request) -> Response:
    """All carts, at the cost of one."""
    await store.destroy_collection("carts")
    return Response(status_code=204)


app = Starlette(
    routes=[
        Route("/carts/{guest}", show),
        Route("/carts/{guest}/{name}/{count:int}", put, methods=["PUT"]),
        Route("/carts", clear, methods=["DELETE"]),
    ]
)

if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as door:
        print(f"http://127.0.0.1:{door.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[door])

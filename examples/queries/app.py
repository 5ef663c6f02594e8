"""
A shop that asks its database once, however many processes it has. Start it as often as you like.

    python app.py 8001
    python app.py 8002
    curl localhost:8001/products                    asked of the database by the first
    curl localhost:8002/products                    not asked again
    curl localhost:8002/stats                       how often this process asked
    curl -X PUT localhost:8002/products/1/hacksaw   and both tell the new name from then on

The database is a file of SQLite here, shop.sqlite3; who is first makes its tables, and puts something on the shelves.
With a server it is the same: `pip install "psycopg[binary]"`, and

    export SHOP_DATABASE_URL=postgresql+psycopg://localhost/shop
"""

import json
import os
import sys
from collections.abc import Iterable
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from sqlalchemy import ForeignKey, create_engine, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload, sessionmaker

import cachegrid
from cachegrid.integrations.sqlalchemy import cached, follow

grid = cachegrid.connect(os.environ.get("SHOP_GRID"))  # such as valkey://a:7001,b:7001; None: the grid of this host
engine = create_engine(os.environ.get("SHOP_DATABASE_URL", "sqlite:///shop.sqlite3"))
follow(engine, grid, database="shop")
Session = sessionmaker(engine)


class Base(DeclarativeBase):
    """All tables."""


class Product(Base):
    """What is sold."""

    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parts: Mapped[list["Part"]] = relationship(order_by="Part.id")


class Part(Base):
    """What it consists of."""

    __tablename__ = "part"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))


def prepare() -> None:
    """Make the tables, and put something on empty shelves; one process does it, if several are started at once."""
    with grid.cache("queries").lock("prepare"):
        Base.metadata.create_all(engine)
        with Session.begin() as session:
            if session.scalar(select(Product.id).limit(1)) is None:
                parts = [Part(name="blade"), Part(name="grip")]
                session.add_all([Product(id=1, name="saw", parts=parts), Product(id=2, name="drill")])


def show() -> object:
    """All products, with their parts."""
    products = select(Product).order_by(Product.id).options(cached("queries", ttl="5m"), selectinload(Product.parts))
    with Session() as session:
        return {product.name: [part.name for part in product.parts] for product in session.scalars(products)}


def rename(product: str, name: str) -> object:
    """Another name for a product, for all processes."""
    with Session.begin() as session:
        session.execute(update(Product).where(Product.id == int(product)).values(name=name))
    return {"renamed": product}


def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    """The shop's pages."""
    path = environ["PATH_INFO"].strip("/").split("/")
    if environ["REQUEST_METHOD"] == "PUT":
        answer = rename(*path[1:])
    elif path == ["stats"]:
        answer = {"asked": grid.cache("queries").stats().loads}
    else:
        answer = show()
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


class Quiet(WSGIRequestHandler):
    """Tells of no requests."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    prepare()
    server = make_server("127.0.0.1", int(sys.argv[1]), app, handler_class=Quiet)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()

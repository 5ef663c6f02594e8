"""What the tests keep in their databases."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

__all__ = ["MADE", "Base", "Kind", "Part", "Price", "Product"]


MADE = dt.datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 - as databases keep it


class Kind(enum.Enum):
    """Of products."""

    TOOL = "tool"
    TOY = "toy"


class Base(DeclarativeBase):
    """All tables."""


class Product(Base):
    """A product; its parts go with it."""

    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[Kind] = mapped_column(default=Kind.TOOL)
    made: Mapped[dt.datetime] = mapped_column(default=MADE)
    parts: Mapped[list[Part]] = relationship(back_populates="product", order_by="Part.id", passive_deletes=True)


class Part(Base):
    """A part of a product."""

    __tablename__ = "part"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    product: Mapped[Product] = relationship(back_populates="parts")


class Price(Base):
    """What a product costs; it knows of no product."""

    __tablename__ = "price"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal]

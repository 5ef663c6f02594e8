"""A process that writes to a database, and stands still between COMMIT and what follows it, until it is killed."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.db import connections, transaction
from django.test import override_settings

from cachegrid.integrations._queries.drops import Drops
from tests.integrations.django import conftest
from tests.integrations.django.library.models import Author

__all__ = ["GATE"]

GATE = "committed\n"


def stand(*_: object) -> None:
    """Say that it is committed, and wait for the end."""
    sys.stdout.write(GATE)
    sys.stdout.flush()
    sys.stdin.read()


def rename(database: str, how: str) -> None:
    """Write in one of the ways that commit."""
    authors = Author.objects.using(database)
    if how == "atomic":
        with transaction.atomic(using=database), transaction.atomic(using=database):
            authors.update(name="new")
    elif how == "by hand":
        transaction.set_autocommit(False, using=database)
        authors.update(name="new")
        transaction.commit(using=database)
    else:
        authors.update(name="new")


def main(orders: dict[str, Any]) -> None:
    """Do what is ordered."""
    assert conftest.BACKEND == orders["caches"]["BACKEND"]  # it has set up Django
    connections[orders["database"]].settings_dict.update(orders["connecting"])
    Drops._conclude = stand  # type: ignore[method-assign,assignment]
    with override_settings(CACHES={"default": orders["caches"]}, CACHEGRID_COMMIT_WITHIN=orders["within"]):
        rename(orders["database"], orders["how"])


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

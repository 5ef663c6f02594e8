"""Django, set up once, and a grid of three owners; every test has a named cache of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import django
import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from cachegrid.integrations.django import CacheGridCache, aclose, close
from cachegrid.testing.loopback import LoopbackGrid
from tests.integrations.sqlalchemy.server import Postgres

POSTGRES = "postgres"  # among DATABASES
NO_CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
BACKEND = "cachegrid.integrations.django.CacheGridCache"
Make: TypeAlias = "Callable[..., Any]"
_numbers = itertools.count(1)

settings.configure(
    SECRET_KEY="a key that only these tests know",
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"init_command": "PRAGMA synchronous=OFF"}},
        POSTGRES: {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "cachegrid"},
    },
    INSTALLED_APPS=["cachegrid.integrations.django", "django.contrib.sessions", "tests.integrations.django.library"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
)
django.setup()


class Awaiting:
    """A back end whose methods that are awaited go by the names of the others."""

    def __init__(self, backend: CacheGridCache, runner: asyncio.Runner) -> None:
        self._backend, self._runner = backend, runner

    def __getattr__(self, name: str) -> Any:
        if name == "native" or not hasattr(type(self._backend), f"a{name}"):
            return getattr(self._backend, name)
        method = getattr(self._backend, f"a{name}")
        return lambda *args, **kwargs: self._runner.run(method(*args, **kwargs))

    def __contains__(self, key: str) -> bool:
        return bool(self.has_key(key))


@pytest.fixture(scope="session")
def _tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables, to be copied."""
    path = tmp_path_factory.mktemp("database") / "empty.sqlite3"
    with _database(path), override_settings(CACHES=NO_CACHES):
        call_command("migrate", run_syncdb=True, verbosity=0)
    return path


@pytest.fixture
def database(_tables: Path, tmp_path: Path) -> Iterator[None]:
    """A database of the test's own, for every thread."""
    path = tmp_path / "own.sqlite3"
    shutil.copy(_tables, path)
    with _database(path):
        yield


@contextlib.contextmanager
def _database(path: Path) -> Iterator[None]:
    connections["default"].settings_dict["NAME"] = str(path)
    try:
        yield
    finally:
        connections.close_all()


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The URL of a grid of 3 owners."""
    with LoopbackGrid(owners=3, replicas=0) as grid:
        yield grid.url


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A PostgreSQL server with the tables of the library."""
    with Postgres() as server:
        connections[POSTGRES].settings_dict.update(HOST="127.0.0.1", PORT=server.port)
        with override_settings(CACHES=NO_CACHES), connections[POSTGRES].schema_editor() as editor:
            for model in apps.get_app_config("library").get_models():
                editor.create_model(model)
        connections.close_all()
        yield server


@pytest.fixture
def name() -> str:
    """The name of the test's own cache."""
    return f"django-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def caches(url: str, name: str) -> Iterator[Callable[..., dict[str, Any]]]:
    """Settings of CACHES for the test's cache, with more of them said."""
    yield lambda **said: {
        "BACKEND": BACKEND,
        "LOCATION": url,
        **said,
        "OPTIONS": {"cache": name} | said.get("OPTIONS", {}),
    }
    close()


@pytest.fixture
def sync(caches: Callable[..., dict[str, Any]]) -> Make:
    """Makes back ends, with what is said of them in CACHES."""
    return lambda **said: made(caches(**said))


@pytest.fixture(params=["sync", "async"])
def make(request: pytest.FixtureRequest, sync: Make) -> Iterator[Make]:
    """Makes back ends of either colour."""
    if request.param == "sync":
        yield sync
        return
    with asyncio.Runner() as runner:
        yield lambda **said: Awaiting(sync(**said), runner)
        runner.run(aclose())


@pytest.fixture
def cache(make: Make) -> Any:
    """A back end."""
    return make()


def made(params: dict[str, Any]) -> CacheGridCache:
    """A back end, as Django makes it."""
    return CacheGridCache(
        params["LOCATION"], {key: it for key, it in params.items() if key not in {"BACKEND", "LOCATION"}}
    )

"""Back ends are found by their names, and say what they lack."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import entry_points

import pytest

from cachegrid.integrations.dogpile import CacheGridBackend


@pytest.mark.parametrize(
    ("module", "framework", "extra"),
    [
        ("cachelib", "cachelib", "cachelib"),
        ("dogpile", "dogpile.cache.api", "dogpile"),
        ("flask_caching", "flask_caching.backends.base", "flask-caching"),
        ("hishel", "hishel", "hishel"),
        ("key_value", "key_value.aio.errors", "key-value"),
    ],
)
def test_a_missing_library_is_named_by_its_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, framework: str, extra: str
) -> None:
    """
    So that whoever installed the package without it knows what to do.
    """
    name = f"cachegrid.integrations.{module}"
    monkeypatch.setitem(sys.modules, framework, None)
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ModuleNotFoundError, match=rf"{name} needs .*'cachegrid\[{extra}\]'"):
        importlib.import_module(name)


def test_dogpile_finds_its_back_end_by_name() -> None:
    """
    Without an import of ours.
    """
    (found,) = entry_points(group="dogpile.cache", name="cachegrid")
    assert CacheGridBackend is found.load()

"""Errors that travel: between processes, and as copies."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from cachegrid import errors
from cachegrid.errors import CacheError

# What an error is made from, where that is more than its message.
FACTS: dict[str, tuple[tuple[object, ...], dict[str, Any]]] = {
    "ConfigError": (("ttl", -1, "0 or more"), {}),
    "ChangesLost": (("prices", {"sku-1": 1}), {}),
    "EntryNotFound": (("prices", ("sku", 1)), {}),
    "ValueRefused": (("cannot keep it",), {"path": "[0]", "kind": int}),
    "ValueTooLarge": (("prices", "sku-1", 2_000, 1_000), {}),
}
WAYS: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    *[lambda error, by=protocol: pickle.loads(pickle.dumps(error, by)) for protocol in range(6)],  # noqa: S301 - our own
]


def made(name: str) -> CacheError:
    """An error with all that it may carry."""
    kind = getattr(errors, name)
    args, facts = FACTS.get(name, (("what happened",), {}))
    if issubclass(kind, errors.EngineError):
        facts = {"where": "10.0.0.1:7001"}
    error: CacheError = kind(*args, **facts)
    error.add_note("seen on Monday")
    return error


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_comes_home_with_its_fields(name: str, way: Callable[[Any], Any]) -> None:
    """
    A pool of processes hands on what its workers raise: the same class, message, fields and notes.
    """
    error = made(name)
    home = way(error)
    assert home is not error
    assert (type(error), str(error), error.args) == (type(home), str(home), home.args)
    assert vars(error) == vars(home)
    assert error.retryable is home.retryable

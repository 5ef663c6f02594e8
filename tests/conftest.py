"""What every test gets: see the plugins. Hypothesis judges what is true and not how long it took on a busy machine."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = [
    "pytester",
    "tests.plugins.garbage",
    "tests.plugins.loops",
    "tests.plugins.skips",
    "tests.plugins.traces",
]

settings.register_profile("cachegrid", deadline=None, print_blob=True)
settings.load_profile("cachegrid")

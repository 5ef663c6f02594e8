"""What every test gets: see the plugins. Hypothesis judges what is true and not how long it took on a busy machine."""

from __future__ import annotations

from hypothesis import Phase, settings

pytest_plugins = [
    "pytester",
    "tests.plugins.garbage",
    "tests.plugins.loops",
    "tests.plugins.order",
    "tests.plugins.ports",
    "tests.plugins.skips",
    "tests.plugins.traces",
]

# One failure at a time, and without a guess at its lines: for that every line of every run would be traced.
phases = [phase for phase in Phase if phase is not Phase.explain]
settings.register_profile("cachegrid", deadline=None, print_blob=True, report_multiple_bugs=False, phases=phases)
settings.load_profile("cachegrid")

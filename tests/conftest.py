"""What every test gets: see the plugins."""

from __future__ import annotations

pytest_plugins = ["pytester", "tests.plugins.loops", "tests.plugins.skips", "tests.plugins.traces"]

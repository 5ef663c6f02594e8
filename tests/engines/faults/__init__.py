"""
Engines that break one promise each: what the contract is there to find.

`FAULTS` says which test has to fail for which fault. All of them are the memory engine, with one method that
does something else; its store stays as it should be.
"""

from __future__ import annotations

from tests.engines.faults import basics, conditions, durables, epochs, landings, leases, pushes, tags, tells, times
from tests.engines.faults.fault import FAULTS, Engine, Fault

__all__ = [
    "FAULTS",
    "Engine",
    "Fault",
    "basics",
    "conditions",
    "durables",
    "epochs",
    "landings",
    "leases",
    "pushes",
    "tags",
    "tells",
    "times",
]

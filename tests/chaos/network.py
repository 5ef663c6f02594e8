"""What happens to the network between the hosts of a grid: cut, parted, slow and lossy."""

from __future__ import annotations

# Generated from src/cachegrid/_aio/__init__.py by tools/colour.py. Edit that file, then run `make colour`.
"""The flow: grids, named caches, loads and locks, written once as async. The sync flow beside it is generated."""

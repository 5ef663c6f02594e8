# Generated from src/cachegrid/use/_aio/__init__.py by tools/colour.py. Edit that file, then run `make colour`.
"""Uses of a cache, in one colour."""

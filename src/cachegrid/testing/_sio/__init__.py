# Generated from src/cachegrid/testing/_aio/__init__.py by tools/colour.py. Edit that file, then run `make colour`.
"""The parts of the engine contract, one for each ability."""

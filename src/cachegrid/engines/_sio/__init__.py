# Generated from src/cachegrid/engines/_aio/__init__.py by tools/colour.py. Edit that file, then run `make colour`.

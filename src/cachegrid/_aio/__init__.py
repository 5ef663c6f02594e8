"""The flow: grids, named caches, loads and locks, written once as async. The sync flow beside it is generated."""

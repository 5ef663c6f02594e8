"""The engine for Valkey and Redis: one server, or a cluster of any size. The data path is ours, and thin."""

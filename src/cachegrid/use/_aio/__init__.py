"""Uses of a cache, in one colour."""

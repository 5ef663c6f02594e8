"""What applications build on caches: on what is public of them only."""

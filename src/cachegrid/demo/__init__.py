"""The demo: a grid at work on real data. Begin to read in `worker`."""

"""Leaves: each ties one framework to a grid. None is imported unless it is asked for."""

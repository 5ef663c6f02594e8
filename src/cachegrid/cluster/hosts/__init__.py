"""A grid that is on several hosts: each knows its own part, and asks the members for the rest."""

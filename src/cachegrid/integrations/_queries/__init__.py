"""What all integrations that keep results of queries have in common: when these are dropped, and kept."""

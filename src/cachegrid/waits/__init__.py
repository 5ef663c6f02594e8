"""Everything that waits and is not a socket: sleep, locks, events, background tasks. By hand in both colours."""

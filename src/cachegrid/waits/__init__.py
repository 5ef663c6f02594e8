"""Everything that waits and is not a socket: sleep, locks, events, background tasks. Written by hand in both colours."""

"""What tests wait for, written by hand in both colours: one run to its end, and many at once."""

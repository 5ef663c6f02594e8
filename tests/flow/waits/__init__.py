"""Gates and runs that tests of the flow wait for, written by hand in both colours."""

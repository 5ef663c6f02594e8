"""The parts of the engine contract, one for each ability."""

"""What may be wrong with a grid: `look` gathers facts, `checks` says what is not as it should be, and what to do."""

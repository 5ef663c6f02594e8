"""Times and sizes as cachegrid reads them, for those who take such settings of their own."""

from cachegrid._core.units import Duration, Size, bytes_of, seconds_of

__all__ = ["Duration", "Size", "bytes_of", "seconds_of"]

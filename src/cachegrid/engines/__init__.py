"""Engines: where frames are kept. `cachegrid.engines._aio.protocol` says what one is."""

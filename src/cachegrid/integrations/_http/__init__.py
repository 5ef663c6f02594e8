"""Caching of responses for all who ask: decisions in plain functions, and the shelf that keeps pages in a grid."""

"""The entries of a grid, kept in a folder and brought back into any grid."""

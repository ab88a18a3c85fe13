"""Vectors in, points kept: collections, guarded writes, tombstones, look-ups."""

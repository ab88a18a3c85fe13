"""Rows of an existing catalogue become events."""

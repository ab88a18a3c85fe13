"""Benchmarks: each compares two things in one run, on real parts, and reports their ratio."""

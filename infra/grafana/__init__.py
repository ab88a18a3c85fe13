"""Dashboards, written by `make dashboards` from what `contents.py` says of them."""

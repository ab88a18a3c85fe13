"""Replaying events of `catalog.events`: chosen, planned, bounded, resumable, accounted for."""

"""Comparing a view with the event topic that it is made from, and sending what differs once more."""

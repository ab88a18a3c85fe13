"""The one error of the local stack."""


class StackError(Exception):
    """Something a person can put right; its text says what, one problem a line."""

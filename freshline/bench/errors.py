"""What ends a benchmark before its time."""


class BenchError(RuntimeError):
    """It can't be measured; the message says why."""

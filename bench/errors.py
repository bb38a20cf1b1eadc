"""What can go wrong in a measurement."""


class BenchError(Exception):
    """A contender or a measuring tool failed; the text says which and why."""

"""What can go wrong in a measurement."""


class BenchError(Exception):
    """A contender, or a tool that measures, did not do what it should; the text says which and why."""

"""What can go wrong in the lab, and the exit status that each kind of failure has."""


class LabError(Exception):
    """The lab itself failed: no image, no boot, no ssh. Says nothing about what was to be tested on it."""

    #: EX_UNAVAILABLE of sysexits.h: told apart from the status of a failed test.
    exit_status = 69


class UsageError(LabError):
    """The request makes no sense as it was put; nothing was done."""

    exit_status = 2

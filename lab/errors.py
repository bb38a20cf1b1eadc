"""What can go wrong in the lab, and the exit status that each kind of failure has."""


class LabError(Exception):
    """The lab itself failed: no image, no boot, no ssh. Not a failure of what is tested on it."""

    #: EX_UNAVAILABLE of sysexits.h, to tell it from the status of a failed test.
    exit_status = 69


class UsageError(LabError):
    """Wrong usage; nothing was done."""

    exit_status = 2

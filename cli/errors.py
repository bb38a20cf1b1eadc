"""What can end a run early: one sentence for the person and an exit status for the script."""


class CliError(Exception):
    """A run cannot go on. The text is one line: the cause, the host where there is one, the remedy."""

    exit_status = 1


class UsageError(CliError):
    """What was asked for makes no sense; nothing has been touched."""

    exit_status = 2


class InfrastructureError(CliError):
    """A host cannot be reached, locked or made, which says nothing about what would be installed on it."""

    exit_status = 69


class LockLostError(InfrastructureError):
    """Another run took the lock of a host in the middle of ours, which was stopped."""


class Interrupted(KeyboardInterrupt):
    """A signal asked us to stop. A kind of KeyboardInterrupt, so that nobody takes it for a mere error."""

    def __init__(self, signal_number: int):
        super().__init__("interrupted")
        self.exit_status = 128 + signal_number

"""How long the lab waits, in seconds.

Every constant can be overridden by the environment variable URING_LAB_TIMEOUT_ plus its name. Those for work
inside a guest are multiplied by EMULATION_FACTOR when the guest's processor is emulated.
"""

import math
import os

from lab.errors import UsageError

#: The boot sector that tests KVM: 0.1 s when KVM works; where it does not, it hangs or takes 7 s.
ACCELERATOR_PROOF = 5
#: From power-on to the kernel's first line: firmware and GRUB. 4 s under KVM, about 10 s emulated.
FIRST_KERNEL_LINE = 12
#: From power-on to an answer of ssh. 5 s under KVM, 25 s emulated on idle cores, 2 s for a container.
SSH_ANSWER = 30
#: For a container to stop after SIGTERM, before it gets SIGKILL.
POWER_OFF = 20
#: Saving or loading a snapshot of a running virtual machine with its memory.
SNAPSHOT = 60

#: How much slower an emulated guest is: about 5 times on idle cores, 10 times under load.
EMULATION_FACTOR = 10


def seconds(name: str, *, emulated: bool = False) -> float:
    """Return the timeout `name` in seconds.

    Raises UsageError when its environment variable is not a positive number.
    """
    factor = _value("EMULATION_FACTOR") if emulated else 1
    return _value(name) * factor


def _value(name: str) -> float:
    variable = f"URING_LAB_TIMEOUT_{name}"
    text = os.environ.get(variable)
    if text is None:
        return float(globals()[name])
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise UsageError(f"{variable}={text!r}: a number of seconds above 0 was expected.")
    return value

"""How long the lab waits, in seconds.

Every constant can be overridden by an environment variable, URING_LAB_TIMEOUT_ and its name. Those that
measure work inside a guest are multiplied by EMULATION_FACTOR where the guest's processor is emulated.
"""

import math
import os

from lab.errors import UsageError

#: The boot sector that proves an accelerator: 0.1 s when it works; the false ones stand still or take 7 s.
ACCELERATOR_PROOF = 5
#: From power-on to the kernel's first line: firmware and GRUB. 4 s under KVM, about 10 s emulated.
FIRST_KERNEL_LINE = 12
#: From the start to an answer of ssh. 5 s under KVM, 25 s emulated on idle cores, 2 s for a container.
SSH_ANSWER = 30
#: For a machine to switch itself off when asked, before its plug is pulled.
POWER_OFF = 20
#: Saving or loading a snapshot of a running virtual machine with its memory.
SNAPSHOT = 60

#: How much slower an emulated guest may be before we call it stuck: about 5 when idle, twice that under load.
EMULATION_FACTOR = 10


def seconds(name: str, *, emulated: bool = False) -> float:
    """Return how long to wait for what the constant `name` stands for.

    Raises UsageError when the environment overrides it by something that is no positive number.
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

"""Text from a host without what would steer a terminal or disguise what is read."""

import re
import unicodedata

# ECMA-48: strings such as a window's title (OSC, DCS, SOS, PM, APC), sequences (CSI), and the short escapes.
_ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)

# The user and password of an address, such as http://user:secret@mirror/debian.
_PASSWORD = re.compile(r"(://)[^\s/:@'\"]+:[^\s/'\"]*@")


def redacted(text: str) -> str:
    """Return a text as `plain` does, and without the passwords of addresses in it."""
    return _PASSWORD.sub(r"\1***@", plain(text))


def plain(text: str) -> str:
    """Return a text without escape sequences, control characters but line feed and tab, and bidi controls."""
    text = _ESCAPES.sub("", text)
    return "".join(
        one for one in text if one in "\n\t" or unicodedata.category(one) not in ("Cc", "Cf", "Cs")
    )

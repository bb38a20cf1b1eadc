"""The record of what is ours on a host: one file a step, written before the host is touched.

Whatever cuts a run off leaves either no trace or a record of what may be there. Only what is recorded is ever
removed.
"""

import json
import os
import tempfile

DIRECTORY = "/var/lib/uring-lab/ledger"

#: Raised by one when a reader of the earlier format would misread it.
FORMAT = 1

#: What a step may own or have changed, and what each is when there is none.
KINDS = {
    "packages": dict,
    "replaced": dict,
    "transactions": dict,
    "users": list,
    "directories": list,
    "files": list,
    "holds": list,
    "marks": dict,
    "grub": dict,
}


class LedgerError(Exception):
    """A record cannot be read; the text is a sentence with the cause and the remedy."""


def load(path, step):
    """Return a step's record.

    Args:
        path: its file.
        step: the step's name.

    Returns:
        A dict: ``format``, ``step`` and the kinds of KINDS, empty where the file is not there.

    Raises:
        LedgerError: the file is empty, cut off, of another step or of a later format.

    """
    record = empty(step)
    data = read_json(path)
    if data is None:
        return record
    record.update(data)
    if data.get("step") != step or not all(isinstance(record[kind], make) for kind, make in KINDS.items()):
        raise LedgerError(damaged(path, "it is no record of the step " + step))
    if record["format"] != FORMAT:
        raise LedgerError(
            "%s has the format %s, and this version of uring-lab reads %s: use the version that wrote it"
            % (path, record["format"], FORMAT)
        )
    return record


def empty(step):
    """Return the record of a step to which nothing belongs."""
    return dict({kind: make() for kind, make in KINDS.items()}, format=FORMAT, step=step)


def read_json(path, keys=()):
    """Return the dict that a file of ours holds, or None where there is no such file.

    Raises:
        LedgerError: it holds none, or one without the keys.

    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise LedgerError(damaged(path, str(error))) from None
    return parse(text, path, keys)


def parse(text, path, keys=()):
    """Return the dict that a text holds.

    Args:
        text: what was read.
        path: the file that it was read from.
        keys: what the dict must have.

    Raises:
        LedgerError: it holds none, or one without the keys.

    """
    try:
        data = json.loads(text)
    except ValueError as error:
        cause = "it is empty" if not text.strip("\0 \r\n") else "it is no JSON: %s" % error
        raise LedgerError(damaged(path, cause)) from None
    if not isinstance(data, dict):
        raise LedgerError(damaged(path, "it holds no record"))
    missing = [key for key in keys if key not in data]
    if missing:
        raise LedgerError(damaged(path, "it does not say " + ", ".join(missing)))
    return data


def damaged(path, cause):
    """Return the sentence that is said of a damaged file."""
    return (
        "%s is damaged (%s), so what is ours on the host cannot be told from it. `make rollback` takes back "
        "what is certain, lists the rest and moves the file aside" % (path, cause)
    )


def save(path, record):
    """Write a record, or remove it once it is empty."""
    if any(record[kind] for kind in KINDS):
        write_json(path, record)
    else:
        remove(path)


def write_json(path, data):
    """Write a dict to a file that everybody may read, so that a power cut leaves the old or the new one."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o755, exist_ok=True)
    handle, fresh = tempfile.mkstemp(dir=directory, prefix=".")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=2, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise
    _sync(directory)
    _sync(os.path.dirname(directory))


def remove(path):
    """Remove a record, and its directory with the last one."""
    directory = os.path.dirname(path)
    if os.path.exists(path):
        os.unlink(path)
        _sync(directory)
    if os.path.isdir(directory) and not os.listdir(directory):
        os.rmdir(directory)


def _sync(directory):
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

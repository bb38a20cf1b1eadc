"""Module: build programs as an unprivileged user and install them."""

import concurrent.futures
import hashlib
import os
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: sample_programs
short_description: Build programs as an unprivileged user and install them
description:
  - Runs the build commands side by side, one a processor, without a shell; installs nothing if one fails.
  - One task for all of them, because a task for each takes longer than its compiler.
options:
  programs:
    description: Entries of the samples' catalog, of which it uses name, source, directory, build and public.
    type: list
    elements: dict
    required: true
  source:
    description: The directory in which each source has one of its own.
    type: path
    required: true
  destination:
    description: Where they are installed, in a directory for each source.
    type: path
    required: true
  builder:
    description: The user that builds. The installed files are root's.
    type: str
    required: true
"""

RETURN = """
digests:
  description: The SHA-256 of each installed program, in the order of I(programs).
  type: list
paths:
  description: Their paths, in the same order.
  type: list
"""


class BuildError(Exception):
    """A program could not be built; the text says which and why."""


def build(program, source, builder):
    """Run the command that builds a program. Raises BuildError."""
    done = subprocess.run(
        ["runuser", "--user", builder, "--"] + program["build"],
        cwd=os.path.join(source, program["source"], program["directory"]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip()
        command = " ".join(program["build"])
        raise BuildError(
            f"{program['name']}: `{command}` ended with exit status {done.returncode}:\n{said[-2000:]}"
        )


def install(path, destination, mode):
    """Copy a file of the builder, but not what a link of his names, and put it in its place whole."""
    written = destination + ".new"
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file, open(written, "wb") as new:
        shutil.copyfileobj(file, new)
        os.fchmod(new.fileno(), mode)
    os.rename(written, destination)


def install_tree(path, destination):
    """Install a directory of files, and those below it."""
    for directory, _, names in os.walk(path):
        target = os.path.normpath(os.path.join(destination, os.path.relpath(directory, path)))
        os.makedirs(target, 0o755, exist_ok=True)
        for name in names:
            install(os.path.join(directory, name), os.path.join(target, name), 0o644)


def digest(path):
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def make(programs, source, destination, builder):
    """Build and install the programs; return what the module returns. Raises BuildError and OSError."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for made in [pool.submit(build, program, source, builder) for program in programs]:
            made.result()
    paths = []
    for program in programs:
        tree, installed = (os.path.join(top, program["source"]) for top in (source, destination))
        os.makedirs(installed, 0o755, exist_ok=True)
        paths.append(os.path.join(installed, program["name"]))
        install(os.path.join(tree, program["directory"], "program"), paths[-1], 0o755)
        if "public" in program:
            install_tree(os.path.join(tree, program["public"]), os.path.join(installed, "public"))
    return {"paths": paths, "digests": [digest(path) for path in paths]}


def main():
    """Run the module."""
    module = AnsibleModule(
        {
            "programs": {"type": "list", "elements": "dict", "required": True},
            "source": {"type": "path", "required": True},
            "destination": {"type": "path", "required": True},
            "builder": {"type": "str", "required": True},
        }
    )
    os.umask(0o022)
    try:
        module.exit_json(changed=True, **make(**module.params))
    except (BuildError, OSError) as problem:
        module.fail_json(msg=str(problem))


if __name__ == "__main__":
    main()

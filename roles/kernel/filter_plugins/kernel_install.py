"""Which debs of a kernel are installed, where they are kept, and what apt's simulation says of them."""

import os
import re


def kernel_cache(build):
    """Return the directory on the controller where the debs of a mainline build are kept.

    Two builds of one version differ by their stamp.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME", "/root"), ".cache")
    return os.path.join(home, "uring-lab/mainline", build["directory"], build["stamp"])


def kernel_images(text, package):
    """Return the image and modules packages that a package stands for.

    Args:
        text: what ``apt-cache depends --important PACKAGE`` has printed.
        package: the package, an image itself or a metapackage.

    """
    names = [package] + [line.split()[-1].lstrip("|") for line in text.splitlines() if "Depends: " in line]
    versioned = re.compile(r"linux-(?:image|modules)(?:-[a-z]+)*-[0-9]\S*")
    return list(dict.fromkeys(name for name in names if versioned.fullmatch(name)))


def kernel_paths(debs, directory, headers=True):
    """Return the paths of the copies of the debs on the host, with or without those of the headers."""
    names = [os.path.basename(deb["path"]) for deb in _chosen(debs, headers)]
    return [os.path.join(directory, "debs", name) for name in names]


def kernel_simulation(result, bare, debs):
    """Return what apt's simulation says of an installation.

    Args:
        result: what the module lab_packages returned for the debs in check mode.
        bare: the same without the headers, or the result of a task that was skipped.
        debs: what the module kernel_debs returned.

    Returns:
        A dict: ``debs``, those to be installed, without headers where they alone cannot be; ``lacks``, what
        these ask for; ``problems``, each with ``name`` and ``says``.

    """
    if _installs(result):
        return {"debs": debs, "lacks": "", "problems": []}
    if _installs(bare):
        lacks = re.findall(r"Depends: (.*?) but", result.get("msg", ""))
        return {
            "debs": {**debs, "debs": _chosen(debs, headers=False)},
            "lacks": ", ".join(dict.fromkeys(lacks)),
            "problems": [],
        }
    says = result.get("msg") or f"apt would remove {', '.join(result['removed'])} for it"
    return {"debs": debs, "lacks": "", "problems": [{"name": "dependencies", "says": f"{says}."}]}


def _chosen(debs, headers):
    return [deb for deb in debs["debs"] if headers or not deb["package"].startswith("linux-headers-")]


def _installs(result):
    return "removed" in result and not result["removed"] and not result.get("failed", False)


class FilterModule:
    """The filters under their names."""

    def filters(self):
        """Return the filters of this file."""
        return {
            "kernel_cache": kernel_cache,
            "kernel_images": kernel_images,
            "kernel_paths": kernel_paths,
            "kernel_simulation": kernel_simulation,
        }

"""Step 3: liburing's packages, built from the requested source, with header and library of one version."""

import re
from pathlib import Path

import pytest

from tests.verify.expectation import is_commit_id, is_same_commit
from tests.verify.remote import ask, name

PROGRAM = (Path(__file__).parent / "probes" / "version.c").read_text()

PROVISION = "run the provisioning again and read the liburing step's message"

#: Compiles and runs a program in a temporary directory, and prints the digests of the files that the compiler
#: read and the program loaded. All as nobody: root must not follow symbolic links in nobody's directory.
COMPILE = f"""\
exec runuser -u nobody -- sh -s <<'END-OF-COMPILE'
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
cat >program.c <<'END-OF-PROGRAM'
{PROGRAM}
END-OF-PROGRAM
cc -MD -MF headers -o program program.c -luring || exit 1
./program >said || exit
cat said
{{ tr -s ' \\\\' '\\n' <headers | grep liburing; sed -n 's/^loaded //p' said; }} | sort -u |
while read -r file; do sha256sum "$file"; done
END-OF-COMPILE
"""

#: The header and library that liburing.pc names; its first lines are shell assignments.
PKG_CONFIG = """\
eval "$(grep '^[a-z_]*=' "$(dpkg -L liburing-dev | grep '/liburing\\.pc$')")" || exit 1
readlink -f "$includedir/liburing.h" "$libdir"/liburing.so.[0-9]
"""

#: Compares the installed files with the digests of the built debs' files in the manifest.
DIGESTS = r"""
sed -n 's,^ *"\(/[^"]*\)": "\([0-9a-f]\{64\}\)".*,\2  \1,p' /var/lib/uring-lab/liburing.json |
sha256sum --check --quiet --strict - 2>&1
"""


@pytest.fixture(scope="module")
def seen(host):
    return ask(
        host,
        manifest="cat /var/lib/uring-lab/liburing.json",
        packages="dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n' '*liburing*'",
        held="apt-mark showhold",
        symlink="readlink -f \"$(dpkg -L liburing-dev | grep '/liburing\\.so$')\"",
        # With a merged /usr the file is in /usr/lib, but dpkg may know it by its path in /lib.
        library="file=$(readlink -f $(dpkg -L liburing-dev | grep '/liburing\\.so$'))\n"
        'dpkg -S "$file" || dpkg -S "${file#/usr}"',
        owners="dpkg -S /usr/include/liburing.h",
        changed="dpkg --verify $(dpkg-query -W -f '${Package} ' 'liburing[0-9]*' liburing-dev)",
        pkg_config="cat $(dpkg -L liburing-dev | grep '/liburing\\.pc$')",
        pkg_config_files=PKG_CONFIG,
        digests=DIGESTS,
        program=COMPILE,
    )


@pytest.fixture
def manifest(host, seen, fail_once):
    """Return the liburing step's manifest."""
    written = seen["manifest"].json()
    if not written:
        fail_once(f"{name(host)}: expected /var/lib/uring-lab/liburing.json, found none: {PROVISION}")
    return written


@pytest.fixture(scope="module")
def packages(seen):
    """Return dpkg's state and the version of every liburing package, by name."""
    rows = [line.split() for line in seen["packages"].lines]
    return {row[1]: (row[0], row[2] if len(row) > 2 else "") for row in rows}


def test_liburing_comes_from_the_source_asked_for(host, manifest, expected):
    """A deb's version says little: for three years upstream's trees all had version 0.4-2 or 0.7-1."""
    wanted = expected.get("liburing_source", manifest["source"])
    assert manifest["source"] == wanted, (
        f"{name(host)}: expected liburing from {wanted}, found {manifest['source']}: {PROVISION}"
    )
    if wanted != "git":
        return
    assert is_commit_id(manifest["commit"]) and len(manifest["commit"]) == 40, (
        f"{name(host)}: expected a whole commit id in liburing.json, found "
        f"{manifest['commit']!r}: {PROVISION}"
    )
    reference = expected.get("liburing_git_ref", manifest["ref"])
    if is_commit_id(reference):
        assert is_same_commit(reference, manifest["commit"]), (
            f"{name(host)}: expected liburing built from commit {reference}, found "
            f"{manifest['commit']}: {PROVISION}"
        )
    else:
        assert manifest["ref"] == reference, (
            f"{name(host)}: expected liburing built from {reference}, found {manifest['ref']}: {PROVISION}"
        )


def test_exactly_the_built_packages_are_installed(host, manifest, packages):
    """An upgrade could have replaced the library by the archive's, which programs do not notice."""
    # Not those that were there before, such as an older library that QEMU needs.
    theirs = manifest["before"].keys() - manifest["packages"].keys()
    installed = {
        package: version
        for package, (state, version) in packages.items()
        if state[1:2] == "i" and package not in theirs
    }
    assert installed == manifest["packages"], (
        f"{name(host)}: expected the packages {manifest['packages']}, found {installed}: {PROVISION}"
    )
    assert (
        any(re.fullmatch(r"liburing\d+\w*", package) for package in installed) and "liburing-dev" in installed
    ), f"{name(host)}: expected a library package and liburing-dev, found {', '.join(installed)}: {PROVISION}"


def test_the_packages_are_held(host, seen, manifest):
    """Without the hold the next `apt upgrade` would install the archive's liburing."""
    missing = set(manifest["packages"]) - set(seen["held"].lines)
    assert not missing, (
        f"{name(host)}: expected {', '.join(sorted(missing))} on hold, found it free: `sudo apt-mark hold` it"
    )


def test_the_installed_files_are_the_packages_own(host, seen):
    """A `make install` over the packages would leave a mixture of versions."""
    assert seen["changed"].status == 0 and not seen["changed"].lines, (
        f"{name(host)}: expected liburing's files as packaged, found "
        f"{seen['changed'].out or seen['changed'].err}: "
        f"reinstall the packages, or {PROVISION}"
    )
    assert seen["owners"].out.startswith("liburing-dev"), (
        f"{name(host)}: expected liburing.h to belong to liburing-dev, found "
        f"{seen['owners'].out or seen['owners'].err}: {PROVISION}"
    )


def test_linking_reaches_the_packaged_library(host, seen, manifest):
    """If the symbolic link `liburing.so` dangles, the linker silently uses the static library."""
    owner = seen["library"].out.split(":")[0]
    assert owner in manifest["packages"] and owner != "liburing-dev", (
        f"{name(host)}: expected liburing.so to lead to a file of the library package, found "
        f"{seen['symlink'].out.strip() or 'nothing'} of {owner or 'no package'}: {PROVISION}"
    )


def test_header_and_library_are_of_one_version(host, seen):
    """With a header newer than the library, programs compile but fail or misbehave silently."""
    said = dict(line.split(" ") for line in seen["program"].lines if re.match(r"(header|library) \d", line))
    assert said.get("header") == said.get("library"), (
        f"{name(host)}: expected one version, found a header of {said.get('header')} and a library of "
        f"{said.get('library')}: {PROVISION}"
    )


def test_pkg_config_describes_this_build(host, seen, manifest):
    """Upstream's trees often state the previous version, so it is compared with the built deb's."""
    stated = re.search(r"^Version: *(\S+)", seen["pkg_config"].out, re.MULTILINE)
    assert stated and stated[1] == manifest["pkg_config"], (
        f"{name(host)}: expected liburing.pc to state version {manifest['pkg_config']}, found "
        f"{stated[1] if stated else 'none'}: {PROVISION}"
    )
    named = seen["pkg_config_files"]
    files = manifest["files"]
    assert named.status == 0 and all(
        any(path.removeprefix("/usr") == file.removeprefix("/usr") for file in files) for path in named.lines
    ), (
        f"{name(host)}: expected liburing.pc to lead to the header and library of this build, found "
        f"{named.out.strip() or named.err.strip()}: {PROVISION}"
    )


def test_the_installed_files_are_those_of_the_build(host, seen, manifest):
    """A package of the same name and version could be a different build."""
    assert manifest["files"] and not seen["digests"].lines, (
        f"{name(host)}: expected headers, libraries and liburing.pc as they were built, found "
        f"{', '.join(seen['digests'].lines)}: {PROVISION}"
    )


def test_a_program_uses_the_header_and_the_library_of_the_build(host, seen, manifest):
    """The compiler or the loader may find another copy first, for example in /usr/local."""
    used = dict(
        reversed(line.split(maxsplit=1)) for line in seen["program"].lines if re.match("[0-9a-f]{64} ", line)
    )
    kinds = {"header": r"/liburing\.h$", "library": r"/liburing\.so\.\d"}
    for kind, pattern in kinds.items():
        found = {path for path in used if re.search(pattern, path)}
        assert found, f"{name(host)}: expected a program to use a {kind} of liburing, found none: {PROVISION}"
    others = [path for path, digest in used.items() if digest not in manifest["files"].values()]
    assert not others, (
        f"{name(host)}: expected a program to use only files of this build, found "
        f"{', '.join(sorted(others))}: remove them, or move them out of the compiler's and the loader's way"
    )


def test_a_program_compiles_links_and_completes_an_operation(host, seen):
    """The first thing a user does, compiled and run without privileges."""
    answer = seen["program"]
    assert answer.status == 0, (
        f"{name(host)}: expected a program with liburing to compile and complete a no-op, found exit status "
        f"{answer.status}: {answer.err.strip()[-500:]}"
    )
    assert re.search(r"^loaded .*liburing\.so", answer.out, re.MULTILINE), (
        f"{name(host)}: expected the program to be linked with the shared library, found "
        f"it static: {PROVISION}"
    )


def test_nothing_of_the_build_dependencies_is_left(host, packages):
    """The metapackage was only for the build; if it stays, so does a tool chain that nobody wants."""
    left = [f"{package} ({state})" for package, (state, _) in packages.items() if "build-deps" in package]
    left = [item for item in left if "(un)" not in item]
    assert not left, (
        f"{name(host)}: expected no liburing-build-deps, not even its configuration, found "
        f"{', '.join(left)}: `sudo apt-get purge --autoremove liburing-build-deps`"
    )

"""What the variables of make mean to the roles."""

from pathlib import Path

import pytest

from cli.errors import UsageError
from cli.options import checked, read_options, role_variables


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    (tmp_path / "archive.yml").write_text("kernel_source: apt\nsamples_source: ours\n")
    (tmp_path / "upstream.yml").write_text("kernel_source: keep\n")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"KERNEL": "", "LIBURING": ""}, {}),
        *(
            ({"UPGRADE": release}, {"release_upgrade_target": release})
            for release in ("keep", "lts", "focal", "20.04", "trixie", "12")
        ),
        ({"KERNEL": "keep"}, {"kernel_source": "keep"}),
        ({"KERNEL": "apt"}, {"kernel_source": "apt"}),
        (
            {"KERNEL": "apt:bookworm-backports"},
            {"kernel_source": "apt", "kernel_apt_suite": "bookworm-backports"},
        ),
        (
            {"KERNEL": "apt:trixie/linux-image-cloud-amd64"},
            {
                "kernel_source": "apt",
                "kernel_apt_suite": "trixie",
                "kernel_apt_package": "linux-image-cloud-amd64",
            },
        ),
        *(
            ({"KERNEL": version}, {"kernel_source": "mainline", "kernel_version": version})
            for version in ("5.6", "5.6.19", "4.14.120", "6.10-rc3", "5.6.x", "latest")
        ),
        ({"KERNEL": "v5.6"}, {"kernel_source": "mainline", "kernel_version": "5.6"}),
        ({"KERNEL": "5.6.0"}, {"kernel_source": "mainline", "kernel_version": "5.6"}),
        ({"LIBURING": "apt"}, {"liburing_source": "apt"}),
        ({"LIBURING": "liburing-2.9"}, {"liburing_source": "git", "liburing_git_ref": "liburing-2.9"}),
        ({"LIBURING": "8bee206e"}, {"liburing_source": "git", "liburing_git_ref": "8bee206e"}),
        ({"SAMPLES": "all"}, {"samples_source": "all"}),
    ],
)
def test_a_variable_of_make_becomes_variables_of_roles(given, expected):
    assert role_variables(given) == expected


def test_a_folder_of_debs_becomes_an_absolute_path(tmp_path, monkeypatch):
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs" / "linux-image.deb").touch()
    monkeypatch.chdir(tmp_path)
    assert role_variables({"KERNEL": "debs:debs"}) == {
        "kernel_source": "debs",
        "kernel_debs_folder": str(tmp_path / "debs"),
    }


def test_a_liburing_tree_becomes_an_absolute_path(tmp_path, monkeypatch):
    (tmp_path / "tree/debian").mkdir(parents=True)
    (tmp_path / "tree/debian/control").touch()
    monkeypatch.chdir(tmp_path)
    assert role_variables({"LIBURING": "path:tree"}) == {
        "liburing_source": "path",
        "liburing_path": str(tmp_path / "tree"),
    }


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        *(("UPGRADE", value, "keep, lts, or a release by name") for value in ("kep", "warty", "12.5", "20")),
        ("KERNEL", "kepp", "debs:FOLDER"),
        *(
            ("KERNEL", value, "a version (5.6, 5.6.19, 6.10-rc3, 5.6.x, latest;")
            for value in (
                "5",
                "5.x",
                "5.6.x-rc1",
                "5.6.19.1",
                "v5.6-dontuse",
                "newest",
                "5.6 ",
                "mainline:5.6",
            )
        ),
        ("KERNEL", "apt:", "apt:SUITE"),
        ("KERNEL", "apt:suite/", "apt:SUITE/PACKAGE"),
        ("KERNEL", "apt:suite/Not A Package", "apt:SUITE/PACKAGE"),
        ("KERNEL", "debs:", "debs:FOLDER"),
        ("KERNEL", "debs:/nowhere", "no .deb file in /nowhere"),
        ("LIBURING", "--upload-pack=x", "git tag or commit"),
        ("LIBURING", "path:", "path:FOLDER"),
        ("LIBURING", "path:/nowhere", "no liburing tree with a debian/control in /nowhere"),
        ("SAMPLES", "our", "ours or upstream or all"),
    ],
)
def test_a_value_without_meaning_is_refused_with_what_is_allowed(name, value, allowed):
    with pytest.raises(UsageError) as refusal:
        role_variables({name: value})
    assert str(refusal.value).startswith(f"{name}={value}: ")
    assert allowed in str(refusal.value)


def test_an_unknown_profile_is_refused_with_those_there_are(profiles):
    with pytest.raises(UsageError, match="PROFILE=achive: no such profile; there are archive, upstream"):
        read_options({"PROFILE": "achive"}, profiles)


@pytest.mark.parametrize("value", ["yes", "true", "2"])
def test_a_switch_is_1_or_left_out(profiles, value):
    with pytest.raises(UsageError, match="must be 1 or left out"):
        read_options({"CHECK": value}, profiles)


def test_a_connection_is_one_of_two(profiles):
    assert read_options({}, profiles).connection == "paramiko"
    assert read_options({"CONNECTION": "ssh"}, profiles).connection == "ssh"
    with pytest.raises(UsageError, match="CONNECTION=telnet: must be paramiko or ssh"):
        read_options({"CONNECTION": "telnet"}, profiles)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kernal_source: keep\n", "no role knows the variable kernal_source; did you mean kernel_source?"),
        ("zzz: 1\n", "mine.yml: no role knows the variable zzz; docs/variables.md lists them all"),
        ("kernel_source: [\n", "mine.yml is no YAML"),
        ("just a word\n", "mine.yml is no dictionary of role variables"),
        ("kernel_headers: perhaps\n", "mine.yml: kernel_headers is 'perhaps'; it must be true or false"),
    ],
)
def test_a_profile_that_the_roles_would_misread_is_refused(tmp_path, text, says):
    (tmp_path / "mine.yml").write_text(text)
    with pytest.raises(UsageError) as refusal:
        read_options({"PROFILE": "mine"}, tmp_path)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_command_line_overrides_what_is_wrong_in_a_profile(tmp_path):
    (tmp_path / "mine.yml").write_text("samples_source: theirs\n")
    options = read_options({"PROFILE": "mine", "SAMPLES": "all"}, tmp_path)
    assert options.overrides == {"samples_source": "all"}


def test_a_template_in_a_profile_is_left_to_ansible(tmp_path):
    (tmp_path / "mine.yml").write_text("kernel_boot_timeout: '{{ 10 * 60 }}'\n")
    assert read_options({"PROFILE": "mine"}, tmp_path).overrides == {}


def test_a_mistake_in_the_variables_of_hosts_is_told_once_with_the_hosts_and_the_variable():
    given = {
        "web1": {"kernel_sorce": "keep"},
        "web2": {"kernel_source": "keep"},
        "web3": {"kernel_sorce": "apt", "samples_source": "theirs"},
        "web4": {"samples_source": "theirs"},
    }
    with pytest.raises(UsageError) as refusal:
        checked(given)
    assert str(refusal.value).splitlines() == [
        "web1, web3: no role knows the variable kernel_sorce; did you mean kernel_source?",
        "web4: samples_source is 'theirs'; it must be one of ours, upstream, all",
    ]


def test_the_variables_of_a_host_have_the_types_of_the_roles():
    """The verification compares texts, and 12 is a release too."""
    given = {"box": {"release_upgrade_target": 12, "kernel_headers": "yes", "kernel_accept_risks": "dkms"}}
    assert checked(given) == {
        "box": {"release_upgrade_target": "12", "kernel_headers": True, "kernel_accept_risks": ["dkms"]}
    }

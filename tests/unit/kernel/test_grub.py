"""The kernel role's reading of grub.cfg and grubenv, on the shapes that grub-mkconfig writes."""

import grub
import pytest
from hypothesis import given
from hypothesis import strategies as st

UUID = "11111111-2222-3333-4444-555555555555"


def menuentry(release, kind="advanced", command="linux"):
    return "\n".join(
        [
            f"menuentry 'Debian GNU/Linux, with Linux {release}' --class debian --class gnu-linux "
            f"$menuentry_id_option 'gnulinux-{release}-{kind}-{UUID}' {{",
            "\tload_video",
            "\tif [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi",
            f"\t{command}\t/boot/vmlinuz-{release} root=UUID={UUID} ro console=ttyS0",
            f"\tinitrd\t/boot/initrd.img-{release}",
            "}",
        ]
    )


def grub_cfg(releases, submenu=True):
    top = (
        f"menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-{UUID}' {{\n"
        f"\tlinux\t/boot/vmlinuz-{releases[0]} root=UUID={UUID} ro\n}}\n"
    )
    inner = "\n".join(menuentry(r) + "\n" + menuentry(r, "recovery") for r in releases)
    if submenu:
        head = f"submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-{UUID}' {{"
        inner = f"{head}\n{inner}\n}}"
    function = 'function savedefault {\n  if [ -z "${boot_once}" ]; then\n    x=1\n  fi\n}\n'
    firmware = "menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {\n\tfwsetup\n}\n"
    return f"{function}{top}{inner}\n{firmware}"


def test_a_kernel_in_the_submenu_has_the_full_path_as_its_entry():
    assert grub.entries(grub_cfg(["6.12.9-amd64", "6.1.0-49-amd64"])) == {
        release: f"gnulinux-advanced-{UUID}>gnulinux-{release}-advanced-{UUID}"
        for release in ("6.12.9-amd64", "6.1.0-49-amd64")
    }


def test_without_a_submenu_the_entry_stands_alone():
    found = grub.entries(grub_cfg(["6.1.0-49-amd64"], submenu=False))
    assert found == {"6.1.0-49-amd64": f"gnulinux-6.1.0-49-amd64-advanced-{UUID}"}


def test_recovery_entries_are_never_chosen():
    assert not any("recovery" in entry for entry in grub.entries(grub_cfg(["5.6.0-050600-generic"])).values())


def test_the_top_entry_serves_where_it_is_the_only_one():
    head = f"menuentry 'Debian' $menuentry_id_option 'gnulinux-simple-{UUID}' {{"
    text = f"{head}\n\tlinux\t/vmlinuz-6.1.0-9-amd64 ro\n}}\n"
    assert grub.entries(text) == {"6.1.0-9-amd64": f"gnulinux-simple-{UUID}"}


def test_an_entry_without_an_id_cannot_be_named_and_is_left_out():
    assert grub.entries("menuentry 'mine' {\n\tlinux /boot/vmlinuz-1.2.3 ro\n}\n") == {}


@pytest.mark.parametrize("command", ["linux", "linuxefi", "linux16"])
def test_every_spelling_of_the_linux_command_is_read(command):
    assert list(grub.entries(menuentry("6.1.0-9-amd64", command=command))) == ["6.1.0-9-amd64"]


def test_an_empty_file_has_no_entries():
    assert grub.entries("") == {}


@given(st.text())
def test_no_text_makes_the_parser_fail(text):
    assert isinstance(grub.entries(text), dict)


@given(
    st.lists(
        st.from_regex(r"[1-9]\.[0-9]{1,2}\.[0-9]{1,2}-[0-9]{1,2}-[a-z]{3,8}", fullmatch=True),
        min_size=1,
        unique=True,
    )
)
def test_every_release_of_a_written_file_is_found(releases):
    assert set(grub.entries(grub_cfg(releases))) == set(releases)


OWN = '### BEGIN /etc/grub.d/00_header ###\nset default="${saved_entry}"\n### END /etc/grub.d/00_header ###\n'


def test_what_chooses_over_the_saved_entry_is_named():
    custom = "### BEGIN /etc/grub.d/40_custom ###\n set default=2\n### END /etc/grub.d/40_custom ###\n"
    assert grub.overrides(OWN + grub_cfg(["6.1.0-49-amd64"])) == []
    assert grub.overrides(OWN + custom) == ["/etc/grub.d/40_custom"]
    assert grub.overrides(OWN, "default='x'\n") == ["/boot/grub/custom.cfg"]


def test_a_default_over_the_saved_entry_is_what_boots():
    text = OWN + grub_cfg(["6.12.9-amd64", "6.1.0-49-amd64"])
    saved = grub.entries(text)["6.1.0-49-amd64"]
    assert grub.default(text, saved) == "6.1.0-49-amd64"
    assert grub.default(text + "set default=0\n", saved) == "6.12.9-amd64"
    assert grub.default(text + "set default=mine\n", saved) == ""


def test_the_room_of_a_block_is_what_is_not_used():
    block = b"# GRUB Environment Block\nsaved_entry=x\n"
    assert grub.free_bytes(block.ljust(1024, b"#")) == 1024 - len(block)
    assert grub.free_bytes(b"") == 1024


def test_the_environment_is_read_line_by_line():
    text = "saved_entry=a>b\nnext_entry=\n"
    assert grub.environment(text) == {"saved_entry": "a>b", "next_entry": ""}

"""What the kernel role makes of a host's firmware and boot loader, on variables in efivarfs's own shape."""

import firmware
import pytest
from hypothesis import given
from hypothesis import strategies as st

GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
LOADER = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

# What the system is told by a boot loader, and what the firmware keeps.
VOLATILE, LASTING = 6, 7

GRUB_CMDLINE = "BOOT_IMAGE=/boot/vmlinuz-6.1.0-49-amd64 root=UUID=1234-ABCD ro quiet\n"


@pytest.fixture
def efi(tmp_path):
    def write(name, vendor, value, attributes=VOLATILE):
        (tmp_path / f"{name}-{vendor}").write_bytes(attributes.to_bytes(4, "little") + value)

    write.folder = str(tmp_path)
    return write


def loader_info(text):
    return f"{text}\0".encode("utf-16-le")


def test_secure_boot_is_the_byte_behind_the_attributes(efi):
    efi("SecureBoot", GLOBAL, b"\1")
    assert firmware.secure_boot(efi.folder)
    efi("SecureBoot", GLOBAL, b"\0")
    assert not firmware.secure_boot(efi.folder)


def test_a_host_without_efi_has_no_secure_boot(tmp_path):
    assert not firmware.secure_boot(str(tmp_path / "none"))


def test_a_shim_that_was_told_to_check_nothing_boots_any_kernel(efi):
    efi("SecureBoot", GLOBAL, b"\1")
    efi("MokSBStateRT", SHIM, b"\1", VOLATILE)
    assert not firmware.secure_boot(efi.folder)


def test_a_lasting_variable_that_shim_did_not_make_relaxes_nothing(efi):
    efi("SecureBoot", GLOBAL, b"\1")
    efi("MokSBStateRT", SHIM, b"\1", LASTING)
    assert firmware.secure_boot(efi.folder)


@given(st.binary(max_size=8))
def test_no_content_of_a_variable_makes_the_reading_fail(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("efivars")
    (folder / f"SecureBoot-{GLOBAL}").write_bytes(content)
    (folder / f"LoaderInfo-{LOADER}").write_bytes(content)
    assert firmware.secure_boot(str(folder)) == (content[4:5] == b"\1")
    assert firmware.bootloader(False, "", str(folder), str(folder)) == "none"


def test_a_kernel_that_grub_has_started_has_its_mark(efi, tmp_path):
    assert firmware.bootloader(True, GRUB_CMDLINE, str(tmp_path), efi.folder) == "grub"


def test_a_grub_that_speaks_the_boot_loader_interface_is_still_grub(efi, tmp_path):
    efi("LoaderInfo", LOADER, loader_info("GRUB 2.12"))
    assert firmware.bootloader(True, GRUB_CMDLINE, str(tmp_path), efi.folder) == "grub"


def test_systemd_boot_is_known_though_grub_is_installed(efi, tmp_path):
    efi("LoaderInfo", LOADER, loader_info("systemd-boot 252.39-1"))
    cmdline = "initrd=\\debian\\initrd.img root=UUID=1234-ABCD ro\n"
    assert firmware.bootloader(True, cmdline, str(tmp_path), efi.folder) == "systemd-boot"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("extlinux", "boot/extlinux/extlinux.conf"),
        ("flash-kernel", "etc/default/flash-kernel"),
        ("u-boot", "boot/boot.scr"),
    ],
)
def test_a_loader_that_leaves_no_mark_is_known_by_its_file(efi, tmp_path, name, path):
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).touch()
    cmdline = "BOOT_IMAGE=/boot/vmlinuz initrd=/boot/initrd.img ro\n" if name == "extlinux" else "ro\n"
    assert firmware.bootloader(True, cmdline, str(tmp_path), efi.folder) == name


def test_its_file_proves_nothing_where_grub_has_left_its_mark(efi, tmp_path):
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/boot.scr").touch()
    assert firmware.bootloader(True, GRUB_CMDLINE, str(tmp_path), efi.folder) == "grub"


@pytest.mark.parametrize(
    ("has_grub", "cmdline"),
    [
        (True, "console=ttyS0 root=/dev/vda rw\n"),  # qemu -kernel: the virtual machine's host boots it
        (True, "placeholder root=UUID=1234-ABCD ro\n"),  # the kernel under Xen
        (False, GRUB_CMDLINE),
        (True, ""),
    ],
)
def test_grubs_files_alone_do_not_make_it_the_loader(efi, tmp_path, has_grub, cmdline):
    assert firmware.bootloader(has_grub, cmdline, str(tmp_path), efi.folder) == "none"

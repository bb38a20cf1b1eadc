"""Read how a host was started: what its firmware checks, and which boot loader has started its kernel."""

import os
import re

EFIVARS = "/sys/firmware/efi/efivars"

# The vendors that EFI names variables by: the UEFI specification, shim, systemd's Boot Loader Interface.
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
_SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
_LOADER = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

#: A variable that lasts; those that a boot loader leaves for the system are forgotten at power-off.
_NON_VOLATILE = 1

#: A file that each boot loader of Debian and Ubuntu but GRUB reads, below the root.
_FILES = (
    ("extlinux", "boot/extlinux/extlinux.conf"),
    ("flash-kernel", "etc/default/flash-kernel"),
    ("u-boot", "boot/boot.scr"),
)


def efi_variable(name, vendor, folder=EFIVARS):
    """Return an EFI variable.

    Args:
        name: such as ``SecureBoot``.
        vendor: its GUID.
        folder: where efivarfs is mounted.

    Returns:
        A pair: the attributes, an integer, and the value, bytes. ``(0, b"")`` where there is no such variable
        or no EFI.

    Source: https://docs.kernel.org/filesystems/efivarfs.html, four bytes of attributes before the value.

    """
    try:
        with open(os.path.join(folder, f"{name}-{vendor}"), "rb") as file:
            data = file.read()
    except OSError:
        return 0, b""
    return int.from_bytes(data[:4], "little"), data[4:]


def secure_boot(folder=EFIVARS):
    """Return whether a kernel has to be signed to be booted.

    Shim can be told by its user to check nothing (``mokutil --disable-validation``). A variable of that name
    that lasts is not shim's: the kernel's own rule, in drivers/firmware/efi/libstub/secureboot.c.
    """
    checked = efi_variable("SecureBoot", _GLOBAL, folder)[1][:1] == b"\1"
    attributes, relaxed = efi_variable("MokSBStateRT", _SHIM, folder)
    return checked and not (relaxed[:1] == b"\1" and not attributes & _NON_VOLATILE)


def bootloader(has_grub, cmdline, root="/", folder=EFIVARS):
    """Return the boot loader that has started the running kernel.

    A configuration of GRUB proves nothing: images carry one and are booted by systemd-boot, or have their
    kernel from the virtual machine's host. GRUB writes ``BOOT_IMAGE=`` before every kernel's command line;
    syslinux and extlinux write it too, together with ``initrd=``, which GRUB does not.

    Args:
        has_grub: whether there are a grub.cfg and the program grub-reboot.
        cmdline: the content of /proc/cmdline.
        root: the root of the file system.
        folder: where efivarfs is mounted.

    Returns:
        ``grub``, ``systemd-boot``, ``extlinux``, ``flash-kernel``, ``u-boot``, or ``none`` where it is none
        that we know.

    """
    words = cmdline.split()
    loader = efi_variable("LoaderInfo", _LOADER, folder)[1].decode("utf-16-le", "replace")
    if re.match("systemd-boot", loader):
        return "systemd-boot"
    names = [word.split("=", 1)[0] for word in words if "=" in word]
    if has_grub and "BOOT_IMAGE" in names and "initrd" not in names:
        return "grub"
    return next((name for name, path in _FILES if os.path.exists(os.path.join(root, path))), "none")

"""What the role reads of a host that nothing speaks against, for tests to spoil in one thing each."""

RUNNING = "6.1.0-49-amd64"

#: A host that nothing speaks against.
SOUND = {
    "running": RUNNING,
    "boot_id": "1",
    "container": "",
    "entries": {RUNNING: f"gnulinux-advanced-1>gnulinux-{RUNNING}-advanced-1"},
    "saved_entry": "",
    "next_entry": "",
    "overrides": [],
    "grubenv_free": 1000,
    "armed": [],
    "manifest": {},
    "record": {"packages": {}, "holds": [], "marks": {}, "grub": {}, "files": []},
    "inherited": {},
    "damaged": [],
    "held": [],
    "fallback": {"package": f"linux-image-{RUNNING}", "mark": "manual"},
    "installed": [],
    "secure_boot": False,
    "bootloader": "grub",
    "grubenv_filesystem": "ext4",
    "grubenv_devices": ["disk", "part"],
    "free": {"boot": 4000, "root": 4000},
    "own_boot": False,
    "initramfs": 40,
    "headers": [],
    "dpkg_zstd": True,
    "dkms": [],
    "systemd": 252,
    "boot_seconds": 20,
}

#: The role's variables, as its defaults are.
PARAMETERS = {
    "source": "mainline",
    "version": "5.6",
    "flavour": "generic",
    "headers": True,
    "apt_suite": "",
    "apt_package": "",
    "debs_folder": "",
    "accept_risks": [],
    "confirm_timeout": "0",
    "boot_timeout": "0",
    "distribution": "Debian",
    "distribution_version": "12.5",
    "newer": {"Debian": {"12": {"suite": "bookworm-backports", "package": "linux-image-FLAVOUR"}}},
}

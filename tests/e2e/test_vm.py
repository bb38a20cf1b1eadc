"""The kernel step in a virtual machine: a kernel that cannot be installed, the archive's newer one, rollback.

The tests depend on each other.
"""

import json
import subprocess

import pytest

from tests.e2e.support import make, playbook

pytestmark = pytest.mark.vm


def broken_debs(vm, release, name, directory):
    """Make the deb of a kernel whose installation fails: without /boot/config no initramfs can be made."""
    tree = directory / "tree"
    for part in ("DEBIAN", "boot", f"lib/modules/{name}"):
        (tree / part).mkdir(parents=True)
    cat = ["ssh", "-F", vm.ssh_config, vm.name, f"sudo cat /boot/vmlinuz-{release}"]
    content = subprocess.run(cat, check=True, capture_output=True).stdout
    (tree / f"boot/vmlinuz-{name}").write_bytes(content)
    for file in ("order", "builtin"):
        (tree / f"lib/modules/{name}/modules.{file}").touch()
    (tree / "DEBIAN/control").write_text(
        f"Package: linux-image-{name}\nVersion: 1\nArchitecture: amd64\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: made by a test\n"
    )
    # Like a real kernel package: the distribution's hooks make the initramfs and run update-grub.
    for script in ("postinst", "postrm"):
        path = tree / "DEBIAN" / script
        hooks = f"run-parts --arg={name} --arg=/boot/vmlinuz-{name} /etc/kernel/{script}.d"
        path.write_text(f"#!/bin/sh\nset -e\n{hooks}\n")
        path.chmod(0o755)
    debs = directory / "debs"
    debs.mkdir()
    build = ["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", tree, debs / f"linux-image-{name}.deb"]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    return debs


def default_entry(vm):
    return vm.run("sudo grub-editenv /boot/grub/grubenv list")


def from_debs(vm, debs):
    code, output = playbook(vm, "kernel", "-e", "kernel_source=debs", "-e", f"kernel_debs_folder={debs}")
    return code, " ".join(output.split())


def test_a_kernel_that_cannot_be_installed_is_removed(vm, release, tmp_path):
    code, output = from_debs(vm, broken_debs(vm, release, "9.9.9-noconfig", tmp_path))
    assert code != 0
    assert "could not be installed and were removed again" in output
    assert vm.run("sudo dpkg --audit") == ""
    assert vm.run("ls /boot/*noconfig* /var/lib/uring-lab/kernel.json 2>/dev/null || true") == ""


def test_a_newer_kernel_is_booted_on_trial_and_made_the_default(vm, release):
    code, output = playbook(vm, "release_upgrade")
    assert code == 0, output
    code, output = playbook(vm, "kernel", "-e", "@profiles/archive.yml")
    assert code == 0, output
    newer = vm.run("uname -r").strip()
    assert newer != release
    manifest = json.loads(vm.run("cat /var/lib/uring-lab/kernel.json"))
    assert (manifest["release"], manifest["previous"], manifest["promoted"]) == (newer, release, True)
    assert f"gnulinux-{newer}-advanced" in default_entry(vm)
    assert vm.run(f"ls /boot/vmlinuz-{release}")


def test_it_is_still_the_default_after_a_reboot(vm, release):
    newer = vm.run("uname -r").strip()
    vm.reboot()
    assert vm.run("uname -r").strip() == newer != release


def test_a_second_run_changes_nothing(vm):
    code, output = playbook(vm, "kernel", "-e", "@profiles/archive.yml")
    assert code == 0, output
    assert "proved and default already" in output
    assert "changed=0" in output or "changed 0" in output


def test_the_verification_of_the_kernel_passes(vm, tmp_path):
    expect = tmp_path / "expect.json"
    asked = {"kernel_source": "apt", "kernel_apt_suite": "", "kernel_apt_package": ""}
    expect.write_text(json.dumps({vm.name: asked}))
    done = vm.pytest("tests/verify/test_kernel.py", f"--lab-expect={expect}")
    assert done.returncode == 0, done.stdout


def test_rollback_boots_the_distributions_kernel_and_removes_the_newer_one(vm, release):
    newer = vm.run("uname -r").strip()
    run = make("rollback", f"INVENTORY={vm.inventory}")
    assert run.status == 0, run.output
    assert vm.run("uname -r").strip() == release
    assert vm.run(f"ls /boot/vmlinuz-{newer} 2>/dev/null || true") == ""
    assert "saved_entry=gnulinux" not in default_entry(vm)

"""Read what kernels are kept on: the room there is, and whether GRUB can write there."""

import glob
import os

MIB = 1 << 20


def free(boot="/boot", root="/"):
    """Return the free space of /boot and /, root's reserve left out: ``boot`` and ``root``, in MiB."""
    found = {}
    for name, path in (("boot", boot), ("root", root)):
        state = os.statvfs(path)
        found[name] = state.f_bavail * state.f_frsize // MIB
    return found


def has_own_boot(boot="/boot", root="/"):
    """Return whether /boot is a file system of its own."""
    return os.stat(boot).st_dev != os.stat(root).st_dev


def initramfs_mib(boot="/boot"):
    """Return the size of the largest initramfs in /boot, in MiB rounded up; 0 where there is none."""
    sizes = [os.path.getsize(path) for path in glob.glob(os.path.join(boot, "initrd.img-*"))]
    return -(-max(sizes, default=0) // MIB)


def place(path, run):
    """Return what a folder lies on, for the question whether GRUB can write there.

    Args:
        path: the folder.
        run: runs a command, given as a list, and returns its exit status, output and error output.

    Returns:
        A pair: the type of the file system, and the sorted types of the devices under it down to the disk,
        as lsblk names them: ``part`` and ``disk`` for a plain partition; ``lvm``, ``raid1``, ``crypt`` are
        among them where they lie between. No device for a file system whose device the kernel does not tell:
        ZFS, btrfs, NFS, an overlay.

    """
    number = os.stat(path).st_dev
    known = os.path.realpath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    device = os.path.join("/dev", os.path.basename(known).replace("!", "/"))  # sysfs's spelling of cciss/c0d0
    filesystem = run(["findmnt", "--noheadings", "--output", "FSTYPE", "--target", path])[1].split()
    types = run(["lsblk", "--noheadings", "--inverse", "--list", "--output", "TYPE", device])[1].split()
    return "".join(filesystem[-1:]), sorted(set(types))  # the last one mounted there is the one that is seen

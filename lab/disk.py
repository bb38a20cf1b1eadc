"""Make a bootable EFI disk from a root's tar, without root, loop devices or mounts on this computer."""

import subprocess
import tarfile
import uuid
from pathlib import Path

from lab import scratch as temporary
from lab.errors import LabError
from lab.tool import need, run

SCRIPT = Path(__file__).with_name("disk.sh")

MIB = 1024 * 1024
#: The EFI system partition: GRUB takes less than 1 MiB, but FAT32 needs 33.
ESP_MIB = 64
#: The root file system, a sparse file. Kernel debs and a build need about 3 GiB.
ROOT_MIB = 10 * 1024
#: Before the first partition (alignment), and at the end for the backup GPT.
MARGIN_MIB = 1

#: Offsets in a boot sector of the MBR's partition table and of the signature behind it.
PARTITION_TABLE, SIGNATURE = 446, 510


def build(root_tar: Path, directory: Path, distribution: str) -> Path:
    """Make `directory/disk.raw` from a root's tar and return its path. Temporary files are removed again.

    `distribution` is the directory that its GRUB uses on the EFI partition: debian, ubuntu.

    Raises LabError when a program is missing or fails.
    """
    pieces = directory / "pieces.tar"
    with temporary.directory() as scratch, root_tar.open("rb") as stdin, pieces.open("wb") as stdout:
        helper = [need("mmdebstrap"), "--unshare-helper", "sh", "-c", SCRIPT.read_text(), SCRIPT.name]
        run([*helper, str(uuid.uuid4()), f"{ROOT_MIB}M"], stdin=stdin, stdout=stdout, scratch=scratch)
    disk = directory / "disk.raw"
    with disk.open("wb") as file:
        file.truncate((ESP_MIB + ROOT_MIB + 2 * MARGIN_MIB) * MIB)
    _partition(disk)
    _esp(pieces, disk, distribution)
    _root(pieces, disk)
    pieces.unlink()
    return disk


def _partition(disk: Path) -> None:
    table = f"label: gpt\nstart={MARGIN_MIB}MiB, size={ESP_MIB}MiB, type=U\nsize={ROOT_MIB}MiB, type=L\n"
    _checked([need("sfdisk"), "--quiet", str(disk)], table.encode())


def _esp(pieces: Path, disk: Path, distribution: str) -> None:
    with tarfile.open(pieces) as tar:
        program = tar.extractfile("BOOTX64.EFI").read()
    drive = f"{disk}@@{MARGIN_MIB}M"
    # Without -T mformat would take the whole disk for the partition; its unit is a sector of 512 bytes.
    _checked([need("mformat"), "-i", drive, "-F", "-v", "ESP", "-T", str(ESP_MIB * MIB // 512), "::"])
    with disk.open("r+b") as file:
        # mformat writes a partition table into the boot sector, and grub-probe would take the partition for a
        # disk: erase it.
        file.seek(MARGIN_MIB * MIB + PARTITION_TABLE)
        file.write(bytes(SIGNATURE - PARTITION_TABLE))
    # GRUB's package, up to 2.06, runs grub-install on an upgrade only if EFI/<distribution> exists.
    _checked([need("mmd"), "-i", drive, "::EFI", "::EFI/BOOT", f"::EFI/{distribution}"])
    _checked([need("mcopy"), "-i", drive, "-", "::EFI/BOOT/BOOTX64.EFI"], program)


def _root(pieces: Path, disk: Path) -> None:
    """Copy the file system to its partition and leave blocks of zeros as holes."""
    offset = (MARGIN_MIB + ESP_MIB) * MIB
    empty = bytes(MIB)
    with tarfile.open(pieces) as tar, disk.open("r+b") as out:
        root = tar.extractfile("root")
        position = offset
        while block := root.read(MIB):
            if block != empty[: len(block)]:
                out.seek(position)
                out.write(block)
            position += len(block)


def _checked(command: list[str], stdin: bytes = b"") -> None:
    result = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).decode(errors="replace").strip()
        raise LabError(f"{command[0]} failed: {said}")

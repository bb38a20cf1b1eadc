"""Kernels under mainline names: the name in the image, the modules that belong together, the debs."""

import lzma
import struct
import subprocess

import pytest

from lab.errors import LabError
from tests.mirror import bzimage, donor, kernels

RELEASE = "5.6.0-050600-generic"
OLD = "6.1.0-56-amd64"


def utsname(release):
    """Return the beginning of a `struct new_utsname`."""
    return b"".join(text.encode().ljust(65, b"\0") for text in ("Linux", "(none)", release, "#1 SMP"))


#: A kernel with its name in the structure, twice, and in two places that are not to be touched.
KERNEL = b"".join(
    [
        *(bytes([number % 251]) * 40 for number in range(500)),
        f"Linux version {OLD} (somebody)\0".encode(),
        utsname(OLD),
        b"between",
        utsname(OLD),
        f"{OLD} SMP preempt mod_unload modversions \0".encode(),
    ]
)


def image_of(kernel, packed=None, slack=200):
    """Return a bzImage as the kernel's build makes it, with some room behind the compressed kernel."""
    packed = lzma.compress(kernel, check=lzma.CHECK_CRC32) if packed is None else packed
    payload = packed + bytes(slack) + struct.pack("<I", len(kernel))
    sectors, offset = 3, 77
    header = bytearray((sectors + 1) * 512)
    header[0x1F1] = sectors
    header[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", header, 0x248, offset, len(payload))
    return bytes(header) + bytes(offset) + payload + b"what follows it"


def kernel_of(image):
    start = 4 * 512 + 77
    return lzma.LZMADecompressor().decompress(image[start : -len(b"what follows it")])


def test_only_the_name_that_uname_prints_is_changed():
    image = image_of(KERNEL)
    renamed = bzimage.rename(image, RELEASE)
    assert kernel_of(renamed) == KERNEL.replace(utsname(OLD), utsname(RELEASE))
    assert kernel_of(renamed).count(OLD.encode()) == 2


def test_an_image_keeps_its_length_and_all_around_its_kernel():
    image = image_of(KERNEL)
    renamed = bzimage.rename(image, RELEASE)
    assert len(renamed) == len(image)
    assert renamed[: 4 * 512 + 77] == image[: 4 * 512 + 77]
    # The length of the unpacked kernel, which the code that unpacks it reads there.
    assert renamed[-19:] == image[-19:]


def test_the_kernels_own_decoder_knows_what_the_stream_is_made_of():
    renamed = bzimage.rename(image_of(KERNEL), RELEASE)
    stream = renamed[4 * 512 + 77 :]
    assert stream[6:8] == b"\0\x01"  # flags of the stream: CRC32
    assert stream[12 + 2] == 0x04  # the first filter: x86


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (b"MZ" * 600, "no bzImage"),
        (image_of(KERNEL)[:2300], "cut short"),
        (image_of(KERNEL, packed=b"\x28\xb5\x2f\xfd" * 50), "not compressed by xz"),
        (image_of(KERNEL, packed=lzma.compress(KERNEL[:-1])), "not those it speaks of"),
        (image_of(bytes(9000)), "no name of itself"),
        (image_of(KERNEL, packed=lzma.compress(KERNEL).replace(b"\xfd7zXZ\0", b"\xfd7zXZ\1")), "damaged"),
    ],
)
def test_what_cannot_be_renamed_is_refused_with_a_reason(image, says):
    with pytest.raises(LabError, match=says):
        bzimage.rename(image, RELEASE)


def test_a_kernel_that_grows_is_refused():
    tight = image_of(KERNEL, slack=0)
    with pytest.raises(LabError, match="bytes too long"):
        bzimage.rename(tight, "5.6.0-qwertzuiopasdfghjklyxcvbnm0123456789-generic")


@pytest.mark.parametrize("release", ["", "x" * 65, "ä" * 33])
def test_a_name_that_does_not_fit_its_field_is_refused(release):
    with pytest.raises(LabError, match="cannot be a release"):
        bzimage.rename(image_of(KERNEL), release)


def module(tree, name, needs=""):
    file = tree / f"kernel/drivers/{name}.ko"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\x7fELF\0license=GPL\0depends=" + needs.encode() + b"\0retpoline=Y\0")
    return file


def test_modules_bring_all_that_they_need(tmp_path):
    disk = module(tmp_path, "virtio_blk", "virtio,virtio-ring")
    ring = module(tmp_path, "virtio_ring")
    base = module(tmp_path, "virtio", "virtio_ring")
    module(tmp_path, "sound", "virtio")
    assert donor.closure(tmp_path, ["virtio_blk"]) == sorted([disk, base, ring])


def test_a_module_that_is_missing_is_named(tmp_path):
    module(tmp_path, "virtio_blk", "virtio_ring")
    with pytest.raises(LabError, match="no module virtio_ring"):
        donor.closure(tmp_path, ["virtio_blk"])


@pytest.fixture
def debian(tmp_path, monkeypatch):
    """Put a small kernel into the cache, so that nothing is fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / f"cache/uring-lab/mirror/donor-{donor.FORMAT}"
    (folder / "modules").mkdir(parents=True)
    (folder / "vmlinuz").write_bytes(image_of(KERNEL))
    (folder / "config").write_text("CONFIG_X=y\n")
    (folder / "System.map").write_text("map\n")
    for name in ("virtio_blk", "virtio_net"):
        module(folder / "modules", name)
    return folder


def files(deb):
    listing = ["dpkg-deb", "--fsys-tarfile", deb]
    tar = subprocess.run(listing, check=True, capture_output=True).stdout
    names = subprocess.run(["tar", "-t"], input=tar, check=True, capture_output=True).stdout.decode().split()
    return {name.removeprefix(".") for name in names if not name.endswith("/")}


def field(deb, name):
    return subprocess.run(
        ["dpkg-deb", "-f", deb, name], check=True, capture_output=True, text=True
    ).stdout.strip()


def script(deb, name):
    return subprocess.run(["dpkg-deb", "-I", deb, name], check=True, capture_output=True, text=True).stdout


def test_a_build_has_the_names_and_places_of_the_archives(debian, tmp_path):
    debs = kernels.build(tmp_path / "debs", "5.6", "202003292333")
    version = "5.6.0-050600.202003292333"
    assert [deb.name for deb in debs] == [
        f"linux-image-unsigned-{RELEASE}_{version}_amd64.deb",
        f"linux-modules-{RELEASE}_{version}_amd64.deb",
        f"linux-headers-5.6.0-050600_{version}_all.deb",
        f"linux-headers-{RELEASE}_{version}_amd64.deb",
    ]
    assert [field(deb, "Version") for deb in debs] == [version] * 4
    image, modules = debs[:2]
    assert files(image) == {f"/boot/vmlinuz-{RELEASE}"}
    assert files(modules) == {
        f"/boot/config-{RELEASE}",
        f"/boot/System.map-{RELEASE}",
        f"/lib/modules/{RELEASE}/kernel/drivers/virtio_blk.ko",
        f"/lib/modules/{RELEASE}/kernel/drivers/virtio_net.ko",
    }
    assert f"linux-modules-{RELEASE}" in field(image, "Depends")
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", image], check=True, capture_output=True).stdout
    shown = ["tar", "-xO", f"./boot/vmlinuz-{RELEASE}"]
    booted = subprocess.run(shown, input=tar, check=True, capture_output=True).stdout
    assert utsname(RELEASE) in kernel_of(booted)


def test_a_release_candidate_without_headers_is_two_debs(debian, tmp_path):
    debs = kernels.build(tmp_path, "6.10-rc3", "202406101234", headers=False)
    assert [field(deb, "Package") for deb in debs] == [
        "linux-image-unsigned-6.10.0-061000rc3-generic",
        "linux-modules-6.10.0-061000rc3-generic",
    ]


def test_an_image_is_renamed_once_and_kept(debian, tmp_path, monkeypatch):
    kernels.build(tmp_path, "5.6")
    monkeypatch.setattr(bzimage, "rename", lambda image, release: pytest.fail("renamed again"))
    kernels.build(tmp_path, "5.6", "202407010123", "panic")


@pytest.mark.parametrize(("variant", "driver"), [("no-disk", "virtio_blk"), ("no-network", "virtio_net")])
def test_a_kernel_without_a_driver_lacks_that_one_alone(debian, tmp_path, variant, driver):
    whole = files(kernels.build(tmp_path, "5.6")[1])
    spoilt = files(kernels.build(tmp_path, "5.6", variant=variant)[1])
    assert whole - spoilt == {f"/lib/modules/{RELEASE}/kernel/drivers/{driver}.ko"}


def test_a_kernel_that_panics_gets_no_initramfs(debian, tmp_path):
    good = script(kernels.build(tmp_path, "5.6")[0], "postinst")
    panics = script(kernels.build(tmp_path, "5.6", variant="panic")[0], "postinst")
    assert panics == good.replace("INITRD=Yes", "INITRD=No") != good


def test_a_kernel_that_hangs_does_so_under_its_own_name_alone(debian, tmp_path):
    image = kernels.build(tmp_path, "5.6", variant="hangs")[0]
    subprocess.run(["dpkg-deb", "-x", image, tmp_path / "tree"], check=True)
    units = tmp_path / "tree/lib/systemd/system"
    assert f"ConditionKernelVersion={RELEASE}\n" in (units / "uring-lab-hangs.service").read_text()
    wanted = units / "multi-user.target.wants/uring-lab-hangs.service"
    assert wanted.resolve() == units / "uring-lab-hangs.service"


def test_headers_need_what_no_newer_release_has_where_that_is_asked_for(debian, tmp_path):
    assert "libssl" not in field(kernels.build(tmp_path, "5.6")[3], "Depends")
    assert "libssl1.1" in field(kernels.build(tmp_path, "5.6", variant="headers-unmet")[3], "Depends")

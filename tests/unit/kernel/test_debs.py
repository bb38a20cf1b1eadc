"""The kernel role's reading of a folder of debs, on real debs that are made here in a moment."""

import shutil
import subprocess

import debs
import pytest

pytestmark = pytest.mark.skipif(
    not shutil.which("dpkg-deb"), reason="dpkg-deb is not installed on this computer"
)

RELEASE = "6.12.9-lab-amd64"


def make_deb(folder, package, files, architecture="amd64", version="1.0", packer="xz", contents=None):
    tree = folder / f"{package}.tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {package}\nVersion: {version}\nArchitecture: {architecture}\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: made by a test\n"
    )
    for name in files:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(range(256)) * 64)
    for name, content in (contents or {}).items():
        (tree / name).write_text(content)
    path = folder / f"{package}_{version}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--build", f"-Z{packer}", "--root-owner-group", tree, path],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    shutil.rmtree(tree)
    return path


def packages(found):
    return [deb["package"] for deb in found["debs"]]


@pytest.fixture
def folder(tmp_path):
    make_deb(
        tmp_path,
        f"linux-image-{RELEASE}",
        [f"boot/vmlinuz-{RELEASE}", f"lib/modules/{RELEASE}/modules.order"],
    )
    return tmp_path


def test_the_release_is_read_from_the_image_and_not_from_the_file_name(folder):
    image = next(folder.glob("*.deb"))
    image.rename(folder / "linux-image-9.9.9_wrong.deb")
    found = debs.read_folder(str(folder), "amd64")
    assert found["release"] == RELEASE
    assert packages(found) == [f"linux-image-{RELEASE}"]


def test_headers_debug_symbols_and_others_are_passed_over(folder):
    for package in (f"linux-headers-{RELEASE}", f"linux-image-{RELEASE}-dbg", "linux-libc-dev", "hello"):
        make_deb(folder, package, ["usr/share/x"])
    make_deb(folder, f"linux-modules-{RELEASE}", [f"lib/modules/{RELEASE}/kernel/a.ko"])
    found = debs.read_folder(str(folder), "amd64")
    assert packages(found) == [f"linux-image-{RELEASE}", f"linux-modules-{RELEASE}"]


def test_everything_is_taken_where_that_is_asked_for(folder):
    make_deb(folder, "linux-base", ["usr/share/x"], architecture="all")
    found = debs.read_folder(str(folder), "amd64", everything=True)
    assert len(packages(found)) == 2


def test_just_the_files_that_are_named_are_read(folder):
    (folder / "older.deb").write_text("no")
    image = next(folder.glob("linux-*.deb"))
    found = debs.read_folder(str(folder), "amd64", names=[image.name])
    assert packages(found) == [f"linux-image-{RELEASE}"]


def test_what_the_kernel_will_take_is_told_apart_for_boot(folder):
    make_deb(folder, f"linux-modules-{RELEASE}", [f"lib/modules/{RELEASE}/{n}.ko" for n in range(300)])
    assert debs.read_folder(str(folder), "amd64")["size"] == {"boot": 1, "root": 5}  # 16 KiB each, rounded up


@pytest.mark.parametrize(
    ("config", "io_uring"),
    [
        ("CONFIG_SMP=y\nCONFIG_IO_URING=y\n", True),
        ("CONFIG_SMP=y\n# CONFIG_IO_URING is not set\n", False),
        ("CONFIG_SMP=y\nCONFIG_IO_URING_ZCRX=y\n", False),
    ],
)
@pytest.mark.parametrize("part", ["image", "modules"])
def test_whether_a_kernel_is_built_with_io_uring_is_read_from_its_configuration(
    tmp_path, part, config, io_uring
):
    files = {"image": [f"boot/vmlinuz-{RELEASE}"], "modules": ["boot/x"]}
    for name in files:
        contents = {f"boot/config-{RELEASE}": config} if name == part else {}
        make_deb(tmp_path, f"linux-{name}-{RELEASE}", files[name], contents=contents)
    assert debs.read_folder(str(tmp_path), "amd64")["io_uring"] is io_uring


def test_without_a_configuration_that_is_not_known(folder):
    assert debs.read_folder(str(folder), "amd64")["io_uring"] is None


@pytest.mark.parametrize("packer", ["xz", "gzip", "none"])
def test_a_deb_of_an_older_packer_is_not_taken_for_zstd(tmp_path, packer):
    make_deb(tmp_path, f"linux-image-{RELEASE}", [f"boot/vmlinuz-{RELEASE}"], packer=packer)
    assert not debs.read_folder(str(tmp_path), "amd64")["zstd"]


def test_a_deb_packed_by_zstd_is_recognized(tmp_path):
    deb = make_deb(tmp_path, f"linux-image-{RELEASE}", [f"boot/vmlinuz-{RELEASE}"])
    # Not every dpkg-deb can pack by it; the member's name is what tells.
    deb.write_bytes(deb.read_bytes().replace(b"data.tar.xz  ", b"data.tar.zst "))
    assert debs.is_zstd(deb)


def test_a_deb_of_another_architecture_is_refused_by_name(folder):
    with pytest.raises(
        debs.DebError, match=f"linux-image-{RELEASE}_1.0_amd64.deb is for amd64, the host is arm64"
    ):
        debs.read_folder(str(folder), "arm64")


def test_a_deb_that_was_cut_short_is_refused_by_name(folder):
    image = next(folder.glob("*.deb"))
    image.write_bytes(image.read_bytes()[:-200])
    with pytest.raises(debs.DebError, match=f"{image.name} is damaged"):
        debs.read_folder(str(folder), "amd64")


def test_one_changed_byte_in_the_data_is_found(folder):
    image = next(folder.glob("*.deb"))
    data = bytearray(image.read_bytes())
    data[-100] ^= 1
    image.write_bytes(data)
    with pytest.raises(debs.DebError, match=f"{image.name} is damaged"):
        debs.read_folder(str(folder), "amd64")


def test_a_page_of_html_is_no_deb(folder):
    (folder / "linux-image-1.deb").write_text("<html>404</html>")
    with pytest.raises(debs.DebError, match=r"linux-image-1\.deb is damaged or not a deb"):
        debs.read_folder(str(folder), "amd64")


def test_all_problems_are_told_at_once(folder):
    (folder / "a.deb").write_text("no")
    (folder / "b.deb").write_text("no")
    with pytest.raises(debs.DebError, match=r"a\.deb.*b\.deb"):
        debs.read_folder(str(folder), "amd64")


def test_two_kernels_in_one_folder_are_refused(folder):
    make_deb(folder, "linux-image-6.1.0-lab", ["boot/vmlinuz-6.1.0-lab"])
    with pytest.raises(debs.DebError, match=f"holds 2 kernels, 6.1.0-lab, {RELEASE}"):
        debs.read_folder(str(folder), "amd64")


def test_a_folder_without_a_kernel_is_refused(tmp_path):
    with pytest.raises(debs.DebError, match="holds no kernel image"):
        debs.read_folder(str(tmp_path), "amd64")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(debs.DebError, match="is not a folder"):
        debs.read_folder(str(tmp_path / "none"), "amd64")

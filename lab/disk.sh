#!/bin/sh
# Reads a root as a tar on stdin, writes the parts of a bootable disk as a sparse tar on stdout: `root` (an ext4 file
# system) and `BOOTX64.EFI` (a GRUB that reads its configuration from it).
#
# Run by `mmdebstrap --unshare-helper`: in a mount namespace, and as root of a user namespace unless the caller is
# root. mke2fs and GRUB are the guest's own, so its kernel knows every feature of the file system, and this computer
# needs no GRUB.
# Arguments: the UUID of the file system; its size, as mke2fs takes it. The caller cleans up TMPDIR; mounts end with
# the namespace.
set -eu
uuid=$1 size=$2

# An unprivileged user's PATH lacks these.
PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d)
mkdir "$work/root" "$work/out"
cd "$work/root"
# Root of a user namespace may not make device nodes; the guest gets its own from devtmpfs.
tar -x --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*' -f -

printf 'UUID=%s / ext4 errors=remount-ro 0 1\nLABEL=ESP /boot/efi vfat umask=0077,nofail 0 1\n' "$uuid" >etc/fstab
mkdir -p boot/efi boot/grub
cp -r usr/lib/grub/x86_64-efi boot/grub/
mount -t proc proc proc
# /dev with only what the scripts need: null, and the link that makes grub-mkconfig write "root=UUID=…".
mount -t tmpfs tmpfs dev
mkdir -p dev/disk/by-uuid
touch dev/null "dev/disk/by-uuid/$uuid"
mount --bind /dev/null dev/null

# The disk does not exist yet, so a stub answers what grub-mkconfig asks grub-probe. The menu entries get the same
# identifiers as when the guest runs update-grub later.
mv usr/sbin/grub-probe usr/sbin/grub-probe.real
cat >usr/sbin/grub-probe <<STUB
#!/bin/sh
case " \$* " in
*=device\ * | *\ device\ *) echo /dev/vda2 ;;
*=fs_uuid\ *) echo $uuid ;;
*=fs\ *) echo ext2 ;;
*=partmap\ *) echo gpt ;;
esac
STUB
chmod 0755 usr/sbin/grub-probe
chroot . grub-mkconfig -o /boot/grub/grub.cfg >&2
mv usr/sbin/grub-probe.real usr/sbin/grub-probe
chroot . grub-editenv /boot/grub/grubenv create

# After this configuration GRUB enters normal mode, which reads $prefix/grub.cfg. core.efi is put where grub-install
# would put it: from 2.12 on, GRUB's package runs grub-install on an upgrade only if it is there.
cat >tmp/early.cfg <<EARLY
search.fs_uuid $uuid root
set prefix=(\$root)/boot/grub
EARLY
chroot . grub-mkimage --format=x86_64-efi --prefix=/boot/grub --config=/tmp/early.cfg \
    --output=/boot/grub/x86_64-efi/core.efi part_gpt ext2 search search_fs_uuid normal
cp boot/grub/x86_64-efi/core.efi "$work/out/BOOTX64.EFI"
rm tmp/early.cfg

# Bind mounts make the tree (without what is mounted in it) and the output directory visible inside of the chroot.
mount --bind . mnt
mount --bind "$work/out" media
chroot . mke2fs -q -t ext4 -L root -U "$uuid" -d /mnt /media/root "$size" >&2
tar -c -S -C "$work/out" -f - root BOOTX64.EFI

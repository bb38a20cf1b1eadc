#!/bin/sh
# Read a root as a tar on stdin, write what a bootable disk needs as a sparse tar on stdout: `root` (an ext4 file
# system) and `BOOTX64.EFI` (a GRUB that reads its configuration from it).
#
# Run by `mmdebstrap --unshare-helper`: as root of a user namespace where the caller is not root, and with mounts
# of its own either way. The programs are the guest's, so a file system has the features its kernel knows, and
# this computer needs no GRUB.
# Arguments: the UUID of the file system; its size, as mke2fs takes it. TMPDIR is tidied up by the caller; mounts
# go with the namespace.
set -eu
uuid=$1 size=$2

# An unprivileged user's has no programs of the system administrator.
PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d)
mkdir "$work/root" "$work/out"
cd "$work/root"
# A namespace's root may not make devices, and needs none: the guest gets its own from its kernel.
tar -x --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*' -f -

printf 'UUID=%s / ext4 errors=remount-ro 0 1\nLABEL=ESP /boot/efi vfat umask=0077,nofail 0 1\n' "$uuid" >etc/fstab
mkdir -p boot/efi boot/grub
cp -r usr/lib/grub/x86_64-efi boot/grub/
mount -t proc proc proc
# Of the devices only what a script needs, and the link that lets grub-mkconfig write "root=UUID=…".
mount -t tmpfs tmpfs dev
mkdir -p dev/disk/by-uuid
touch dev/null "dev/disk/by-uuid/$uuid"
mount --bind /dev/null dev/null

# What `grub-mkconfig` asks of the disk, answered before the disk exists. The entries get the identifiers they
# will have when the guest writes its menu itself.
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

# After this GRUB goes on to `normal` by itself, which reads the lists of modules and then grub.cfg in $prefix. It lies
# where grub-install leaves it: by that, from 2.12 on, GRUB's package knows that it is to run that when it is upgraded.
cat >tmp/early.cfg <<EARLY
search.fs_uuid $uuid root
set prefix=(\$root)/boot/grub
EARLY
chroot . grub-mkimage --format=x86_64-efi --prefix=/boot/grub --config=/tmp/early.cfg \
    --output=/boot/grub/x86_64-efi/core.efi part_gpt ext2 search search_fs_uuid normal
cp boot/grub/x86_64-efi/core.efi "$work/out/BOOTX64.EFI"
rm tmp/early.cfg

# The tree without what is mounted in it, and a place for the result, both inside of the root.
mount --bind . mnt
mount --bind "$work/out" media
chroot . mke2fs -q -t ext4 -L root -U "$uuid" -d /mnt /media/root "$size" >&2
tar -c -S -C "$work/out" -f - root BOOTX64.EFI

#!/bin/sh
# Turn a fresh minimal root into a lab host, whichever kind it is going to be. mmdebstrap runs this outside of the
# root, with the root's path as the one argument.
set -eu
root=$1

# Keys, name, addresses and apt's way to the archive are a machine's own; it gets them before its first boot
# (container) or early in it (virtual machine).
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/hostname "$root"/etc/resolv.conf "$root"/etc/apt/apt.conf.d/99mmdebstrap
: >"$root/etc/machine-id"
cat >"$root/etc/systemd/system/uring-lab-identity.service" <<'UNIT'
[Unit]
Description=Take this machine's name and keys from the lab that made it
DefaultDependencies=no
After=systemd-remount-fs.service systemd-tmpfiles-setup.service
Before=ssh.service systemd-networkd.service sysinit.target
ConditionVirtualization=vm
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/sbin/modprobe qemu_fw_cfg
ExecStart=/bin/tar -xf /sys/firmware/qemu_fw_cfg/by_name/opt/uring-lab/identity/raw -C /
ExecStart=/bin/cp /etc/hostname /proc/sys/kernel/hostname

[Install]
WantedBy=sysinit.target
UNIT
cat >"$root/etc/systemd/network/uring-lab.network" <<'UNIT'
[Match]
Name=en*

[Network]
DHCP=ipv4
UNIT

# The user of every connection: a key, no password, sudo.
chroot "$root" useradd --create-home --shell /bin/bash lab
echo 'lab ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/lab"
chmod 0440 "$root/etc/sudoers.d/lab"

# ssh by its service on every release: a socket unit would not know the service's address.
chroot "$root" systemctl --quiet enable ssh.service systemd-networkd.service uring-lab-identity.service
chroot "$root" systemctl --quiet mask ssh.socket systemd-networkd-wait-online.service

# Nothing that takes apt's and dpkg's locks behind the back of whoever works here.
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer man-db.timer dpkg-db-backup.timer
# It looks for snapshots of LVM, of which there are none here: 20 s of every emulated boot.
chroot "$root" systemctl --quiet mask e2scrub_reap.service e2scrub_all.timer

# A machine that is thrown away need not survive a power cut: 2 to 3 times less waiting for the disk.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/uring-lab"
echo 'Acquire::Languages "none";' >"$root/etc/apt/apt.conf.d/90uring-lab"
echo 'man-db man-db/auto-update boolean false' | chroot "$root" debconf-set-selections
# A GRUB that is upgraded goes to the place that the firmware looks at, too: the machine may lose its variables.
echo 'grub-efi-amd64 grub2/force_efi_extra_removable boolean true' | chroot "$root" debconf-set-selections
# Under emulation an initramfs with every driver, well compressed, takes five minutes.
printf 'MODULES=dep\nCOMPRESS=lz4\nCOMPRESSLEVEL=1\n' >"$root/etc/initramfs-tools/conf.d/uring-lab"

# The serial console shows GRUB and every line of the kernel, which the watchdog of the lab waits for. An entry
# more for each kernel, to recover by, makes every update-grub half as long again.
sed -i \
    -e 's/^GRUB_TIMEOUT=.*/GRUB_TIMEOUT=1/' \
    -e 's/^GRUB_CMDLINE_LINUX_DEFAULT=.*/GRUB_CMDLINE_LINUX_DEFAULT=""/' \
    -e 's/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX="console=ttyS0"/' \
    -e 's/^#*GRUB_DISABLE_RECOVERY=.*/GRUB_DISABLE_RECOVERY=true/' \
    "$root/etc/default/grub"
rm -f "$root"/etc/default/grub.d/*cloud*

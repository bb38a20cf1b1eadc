#!/bin/sh
# Turn a fresh minimal root into a lab host of either kind. mmdebstrap runs this as a customize hook: outside of
# the root, whose path is the only argument.
set -eu
root=$1

# Host keys, name, resolver and apt's proxy differ between machines: a container gets them before its first boot, a
# virtual machine early in it, by this unit.
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
# QEMU's emulation translates a program anew at every address at which it starts: without randomised addresses 200 starts
# of /bin/true take a third of the time. Under KVM nothing is translated, and the setting stays.
cat >"$root/etc/systemd/system/uring-lab-emulated.service" <<'UNIT'
[Unit]
Description=Start programs at the same addresses each time, so that QEMU translates them once
DefaultDependencies=no
Before=sysinit.target
ConditionVirtualization=qemu

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo 0 >/proc/sys/kernel/randomize_va_space'

[Install]
WantedBy=sysinit.target
UNIT
cat >"$root/etc/systemd/network/uring-lab.network" <<'UNIT'
[Match]
Name=en*

[Network]
DHCP=ipv4
UNIT

# The only user: ssh key, no password, sudo.
chroot "$root" useradd --create-home --shell /bin/bash lab
echo 'lab ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/lab"
chmod 0440 "$root/etc/sudoers.d/lab"

# ssh.service on every release, instead of the socket unit that newer Ubuntu releases prefer.
chroot "$root" systemctl --quiet enable ssh.service systemd-networkd.service uring-lab-identity.service \
    uring-lab-emulated.service
chroot "$root" systemctl --quiet mask ssh.socket systemd-networkd-wait-online.service

# No timer may hold apt's or dpkg's lock while the provisioning needs it.
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer man-db.timer dpkg-db-backup.timer
# They look for LVM snapshots, which do not exist here, and take 20 s of every emulated boot.
chroot "$root" systemctl --quiet mask e2scrub_reap.service e2scrub_all.timer

# A disposable machine need not survive a power cut; without fsync dpkg waits 2 to 3 times less for the disk.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/uring-lab"
echo 'Acquire::Languages "none";' >"$root/etc/apt/apt.conf.d/90uring-lab"
echo 'man-db man-db/auto-update boolean false' | chroot "$root" debconf-set-selections
# An upgraded GRUB is also installed to the removable path EFI/BOOT, because the machine may lose its EFI variables.
echo 'grub-efi-amd64 grub2/force_efi_extra_removable boolean true' | chroot "$root" debconf-set-selections
# Under emulation the default initramfs (every driver, strong compression) takes five minutes to make.
printf 'MODULES=dep\nCOMPRESS=lz4\nCOMPRESSLEVEL=1\n' >"$root/etc/initramfs-tools/conf.d/uring-lab"

# The serial console shows every line of the kernel: the lab waits for the first one. Without recovery entries
# update-grub takes a third less time.
sed -i \
    -e 's/^GRUB_TIMEOUT=.*/GRUB_TIMEOUT=1/' \
    -e 's/^GRUB_CMDLINE_LINUX_DEFAULT=.*/GRUB_CMDLINE_LINUX_DEFAULT=""/' \
    -e 's/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX="console=ttyS0"/' \
    -e 's/^#*GRUB_DISABLE_RECOVERY=.*/GRUB_DISABLE_RECOVERY=true/' \
    "$root/etc/default/grub"
rm -f "$root"/etc/default/grub.d/*cloud*

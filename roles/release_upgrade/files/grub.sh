#!/bin/sh
# Prints the directories of GRUB's modules that are not those of the installed package: `grub-install` was not run since
# that was upgraded. The package runs it only where it knows the place (EFI/debian on the EFI partition; from 2.12 on
# core.efi in this directory; grub-pc/install_devices). An older GRUB may not understand the menu that a newer one has
# written: 2.06 enters the firmware's setup at the menu of 2.12.
#   grub.sh [ROOT]
root=${1:-}
if test -e "$root/sys/firmware/efi"; then platform='*-efi'; else platform=i386-pc; fi
for directory in "$root"/boot/grub/$platform; do
    installed=$root/usr/lib/grub/${directory##*/}
    if test -e "$directory/normal.mod" && test -e "$installed/normal.mod"; then
        cmp --silent "$directory/normal.mod" "$installed/normal.mod" || echo "$directory"
    fi
done

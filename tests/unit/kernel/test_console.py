"""What is shown of a host's serial console when a kernel on trial has failed."""

from console import first_boot

BEFORE = "[  OK  ] Reached target reboot.target\n[ 99.1] reboot: Restarting system\n"
FIRMWARE = 'BdsDxe: starting Boot0002 "UEFI Misc Device"\nWelcome to GRUB!\n'
TRIAL = "[ 0.0] Linux version 5.6.0-generic (x)\n[ 1.0] waiting\n[ 1.1] still waiting\n"
BACK = "[ 0.0] Linux version 6.1.0-56-amd64 (debian)\n[ 0.1] all is well\n"


def test_the_end_of_the_kernel_on_trial_is_shown_and_not_that_of_the_one_after():
    assert first_boot(BEFORE + FIRMWARE + TRIAL + FIRMWARE + BACK, 2) == [
        "[ 1.0] waiting",
        "[ 1.1] still waiting",
    ]


def test_a_panic_is_shown_and_not_the_end_of_its_trace():
    panic = "[ 1.2] Kernel panic\n" + "".join(f"[ 1.2] call {number}\n" for number in range(40))
    assert first_boot(TRIAL + panic + FIRMWARE + BACK, 4) == [
        "[ 1.0] waiting",
        "[ 1.1] still waiting",
        "[ 1.2] Kernel panic",
        "[ 1.2] call 0",
    ]


def test_a_loader_that_says_nothing_is_no_hindrance():
    assert first_boot(BEFORE + TRIAL + BACK, 1) == ["[ 1.1] still waiting"]


def test_a_kernel_that_is_still_at_it_is_shown_as_far_as_it_came():
    assert first_boot(FIRMWARE + TRIAL, 1) == ["[ 1.1] still waiting"]


def test_no_word_of_a_kernel_is_no_line():
    assert first_boot(BEFORE + FIRMWARE, 9) == []


def test_colours_and_control_characters_are_left_out():
    assert first_boot("Linux version 5\n\x1b[0;32mgood\x1b[0m\r\n\x07", 1) == ["good"]

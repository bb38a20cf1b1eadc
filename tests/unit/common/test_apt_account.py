"""What apt says of a transaction is read from its own words: those of apt 2.6, recorded."""

import apt_account

SIMULATED = """\
NOTE: This is only a simulation!
Reading package lists...
The following NEW packages will be installed:
  equivs
Inst libperl5.36 [5.36.0-7] (5.36.0-7+deb12u3 Debian:12.13/stable [amd64]) []
Inst equivs (2.3.1 Debian:12.13/stable [all])
Inst libc6:i386 (2.36-9 Debian:12.13/stable [i386])
Remv exim4-base [4.96-15]
Purg mailutils [1:3.15-4]
Conf equivs (2.3.1 Debian:12.13/stable [all])
"""

HISTORY = """
Start-Date: 2026-11-25  10:00:00
Commandline: apt-get --yes install devscripts --option=Uring-Lab::Transaction=aa11
Install: devscripts:amd64 (2.23.4), perl-openssl-defaults:amd64 (7, automatic), libc6:i386 (2.36-9, automatic)
End-Date: 2026-11-25  10:00:09

Start-Date: 2026-11-25  10:01:00
Commandline: apt-get install cowsay
Requested-By: me (1000)
Install: cowsay:amd64 (3.03), gettext:amd64 (0.21)
Upgrade: tzdata:amd64 (2024a, 2024b)
End-Date: 2026-11-25  10:01:09

Start-Date: 2026-11-25  10:02:00
Commandline: apt-get --yes install ./x.deb --option=Uring-Lab::Transaction=aa1
Install: liburing-build-deps:amd64 (2.3-3)
"""


def test_a_simulation_tells_new_packages_from_replaced_and_removed_ones():
    assert apt_account.simulated(SIMULATED) == {
        "new": ["equivs", "libc6"],
        "replaced": {"libperl5.36": "5.36.0-7"},
        "removed": ["exim4-base", "mailutils"],
    }


def test_a_transaction_is_found_by_its_mark_and_no_other():
    names = ["devscripts", "perl-openssl-defaults", "libc6"]
    assert apt_account.installed_by("aa11", HISTORY) == names
    assert apt_account.installed_by("aa", HISTORY) is None


def test_a_transaction_that_was_cut_off_is_there_without_its_end():
    assert apt_account.installed_by("aa1", HISTORY) == ["liburing-build-deps"]


def test_what_others_have_installed_is_told_apart():
    assert apt_account.installed_by_others(HISTORY) == {"cowsay", "gettext"}


def test_rotated_histories_are_read_newest_first(tmp_path):
    import gzip

    (tmp_path / "history.log").write_text("now")
    for number in (1, 2, 10):
        with gzip.open(tmp_path / f"history.log.{number}.gz", "wt") as file:
            file.write(f"rotated {number}")
    text = apt_account.read_history(str(tmp_path / "history.log"))
    assert text.split("\n\n") == ["now", "rotated 1", "rotated 2", "rotated 10"]

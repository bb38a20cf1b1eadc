"""What is ours on a host is written whole or not at all, and a damaged record is told in a sentence."""

import json
import pwd

import ledger
import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state/ledger/liburing.json"


def test_what_is_saved_is_loaded(path):
    record = ledger.load(path, "liburing")
    record["users"].append("uring-build")
    record["packages"]["gcc"] = {"purpose": "kept", "automatic": False}
    ledger.save(path, record)
    assert ledger.load(path, "liburing") == record
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_record_leaves_neither_file_nor_directory(path):
    record = ledger.load(path, "liburing")
    record["users"].append("uring-build")
    ledger.save(path, record)
    record["users"].clear()
    ledger.save(path, record)
    assert not path.parent.exists()


def test_a_write_that_fails_leaves_the_record_before(path, monkeypatch):
    record = ledger.load(path, "liburing")
    record["users"].append("uring-build")
    ledger.save(path, record)

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ledger.save(path, {**record, "users": ["another"]})
    assert ledger.load(path, "liburing")["users"] == ["uring-build"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\0" * 512, "is empty"),
        ('{"format": 1, "step": "libur', "no JSON"),
        ("[]", "holds no record"),
        ("{}", "no record of the step"),
        (json.dumps({"format": 1, "step": "kernel"}), "no record of the step liburing"),
    ],
)
def test_a_damaged_record_is_told_in_a_sentence_with_its_remedy(path, text, says):
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ledger.LedgerError) as error:
        ledger.load(path, "liburing")
    assert says in str(error.value)
    assert str(path) in str(error.value)
    assert "`make rollback`" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_record_of_a_later_version_is_refused(path):
    record = ledger.load(path, "liburing")
    ledger.save(path, {**record, "users": ["x"], "format": 2})
    with pytest.raises(ledger.LedgerError, match="format 2, and this version of uring-lab reads 1"):
        ledger.load(path, "liburing")


def test_a_record_of_another_shape_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "state/release_upgrade.json"
    ledger.write_json(path, {"stage": "preparing"})
    assert ledger.read_json(path) == {"stage": "preparing"}
    assert path.stat().st_mode & 0o777 == 0o644
    synced = []
    sync = ledger.os.fsync
    monkeypatch.setattr(ledger.os, "fsync", lambda handle: synced.append(handle) or sync(handle))
    ledger.write_json(path, {"stage": "running"})
    assert len(synced) == 3, "the file, its directory and the one above are on the disk"

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ledger.write_json(path, {"stage": "later"})
    assert ledger.read_json(path) == {"stage": "running"}
    assert list(path.parent.iterdir()) == [path]


# What the module does with users and directories.


@pytest.fixture
def module(load_module):
    return load_module("common", "ledger")


def entry(uid=400, login="/usr/sbin/nologin", home="/nonexistent"):
    return pwd.struct_passwd(("uring-lab", "x", uid, uid, "", home, login))


def claim(module, monkeypatch, found, directories=(), is_earlier_lab=False):
    """Return what is recorded of the user uring-lab and of directories, and what speaks against them."""
    monkeypatch.setattr(module, "user", lambda _name: found)
    record = {"users": [], "directories": []}
    params = {"users": {"uring-lab": "/nonexistent"}, "directories": list(directories)}
    problems = module.claim(record, params, is_earlier_lab)
    return record["users"], record["directories"], problems


def test_a_user_that_is_not_there_is_ours(module, monkeypatch):
    assert claim(module, monkeypatch, None) == (["uring-lab"], [], [])


def test_a_system_user_that_was_there_is_used_and_not_ours(module, monkeypatch):
    assert claim(module, monkeypatch, entry()) == ([], [], [])


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (entry(uid=1000), "its number is 1000"),
        (entry(uid=0), "its number is 0"),
        (entry(login="/bin/bash"), "/bin/bash"),
    ],
)
def test_a_person_of_that_name_is_refused_by_name(module, monkeypatch, found, says):
    users, _, problems = claim(module, monkeypatch, found)
    assert users == []
    assert len(problems) == 1
    assert "uring-lab" in problems[0]
    assert says in problems[0]


def test_the_user_of_a_lab_that_kept_no_ledger_is_ours(module, monkeypatch):
    assert claim(module, monkeypatch, entry(), is_earlier_lab=True)[0] == ["uring-lab"]
    other = entry(home="/home/uring-lab")
    assert claim(module, monkeypatch, other, is_earlier_lab=True)[0] == []


def test_a_directory_is_ours_only_where_there_was_none(module, monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    paths = [str(tmp_path / name) for name in ("new", "empty", "full")]
    _, directories, problems = claim(module, monkeypatch, None, paths)
    assert directories == [paths[0]]
    assert len(problems) == 1
    assert paths[2] in problems[0]

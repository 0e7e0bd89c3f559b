"""The half of a session manager that needs no browser."""

import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import ago, document, read_session, write_file, write_session

from raptor_exporter import SessionException, SessionInfo, SessionManager, SyncSessionManager

BOTH = pytest.mark.parametrize("manager_class", [SessionManager, SyncSessionManager])

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def store(tmp_path):
    return tmp_path / "sessions"


@pytest.fixture
def manager(store):
    return SessionManager(store)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- where the store is ------------------------------------------------------------------------------


@BOTH
def test_the_store_is_made_private_with_its_parents(manager_class, store):
    manager = manager_class(store / "below")
    assert manager.get_storage_dir() == store / "below"
    assert (mode_of(store / "below"), mode_of(store)) == (0o700, 0o700)


def test_without_an_argument_the_store_is_below_the_home_directory(tmp_path):
    assert SessionManager().get_storage_dir() == tmp_path / "home/.raptor/sessions"


def test_the_argument_beats_the_variable_which_beats_the_file_which_beats_the_default(tmp_path, monkeypatch):
    file = tmp_path / "raptor.yaml"
    file.write_text("version: 1\nstore: {url: from-file}\n")
    monkeypatch.setenv("RAPTOR_CONFIG", str(file))
    assert SessionManager().get_storage_dir() == tmp_path / "from-file"
    monkeypatch.setenv("RAPTOR_STORE", str(tmp_path / "from-variable"))
    assert SessionManager().get_storage_dir() == tmp_path / "from-variable"
    assert SessionManager(tmp_path / "from-argument").get_storage_dir() == tmp_path / "from-argument"


def test_empty_variables_count_as_unset(tmp_path, monkeypatch):
    monkeypatch.setenv("RAPTOR_STORE", "")
    monkeypatch.setenv("RAPTOR_CONFIG", "")
    assert SessionManager().get_storage_dir() == tmp_path / "home/.raptor/sessions"


def test_a_store_may_be_named_by_home_relative_path_or_file_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert SessionManager("~/mine").get_storage_dir() == tmp_path / "home/mine"
    assert SessionManager("here").get_storage_dir() == tmp_path / "here"
    assert SessionManager(f"file://{tmp_path}/by-url").get_storage_dir() == tmp_path / "by-url"


@pytest.mark.parametrize(("url", "why"), [("redis://h/0", "scheme redis"), ("", "is empty")])
def test_a_store_that_cannot_be_is_an_error_that_says_why(url, why):
    with pytest.raises(SessionException, match=why) as caught:
        SessionManager(url)
    assert caught.value.operation == "__init__"


def test_a_file_in_place_of_the_store_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SessionException, match="not a directory"):
        SessionManager(tmp_path / "file")


def test_a_wrong_configuration_file_is_an_error_with_its_place(tmp_path, monkeypatch):
    file = tmp_path / "raptor.yaml"
    file.write_text("version: 2\n")
    monkeypatch.setenv("RAPTOR_CONFIG", str(file))
    with pytest.raises(SessionException, match=r"raptor\.yaml:1:"):
        SessionManager()
    SessionManager(tmp_path / "named")  # the file does not matter where it decides nothing


def test_a_naive_timestamp_is_read_in_the_time_zone_of_the_configuration(tmp_path, monkeypatch):
    file = tmp_path / "raptor.yaml"
    file.write_text("version: 1\nstore: {url: s, timezone: Pacific/Kiritimati}\n")  # 14 hours ahead of UTC
    monkeypatch.setenv("RAPTOR_CONFIG", str(file))
    manager = SessionManager()
    six_days = ago(days=6, hours=12).partition("+")[0]
    write_session(tmp_path / "s", "old", last_accessed=six_days)
    assert manager.cleanup_expired_sessions(7) == 1


# -- checking ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (json.dumps(document()), None),
        ("{", "corrupt"),
        (json.dumps(document(session_id="")), "missing_session_id"),
        (json.dumps(document(cdp_url="localhost:9222")), "missing_cdp_url"),
        (json.dumps(document(last_accessed="yesterday")), "invalid_timestamp"),
        (json.dumps(document(browser_type="opera")), "invalid_browser_type"),
        (" " * (1 << 20) + json.dumps(document()), "unreadable"),
    ],
)
@BOTH
def test_check_session_names_the_first_check_that_fails(manager_class, store, content, reason):
    write_file(store, "login", content)
    manager = manager_class(store)
    assert manager.check_session("login") == reason
    assert manager.validate_session("login") is (reason is None)


@pytest.mark.parametrize(
    "name", ["nobody", "", "..", "../login", "a/b", "\0", ".raptor", "x" * 300, "\ud800"]
)
def test_a_session_that_is_not_there_is_not_found_whatever_its_name(manager, store, name):
    write_session(store, "login")
    assert manager.check_session(name) == "not_found"
    assert manager.validate_session(name) is False
    assert manager.get_session_info(name) is None
    assert manager.delete_session(name) is False


def test_a_name_finds_its_stem_or_the_file_that_holds_it(manager, store):
    write_session(store, "teststaging", session_id="test/staging", metadata={"n": 1})
    assert manager.get_session_info("teststaging").metadata == {"n": 1}
    assert manager.get_session_info("test/staging").metadata == {"n": 1}
    assert manager.get_session_info("test.staging") is None  # the same file, another session


def test_links_and_odd_files_are_no_sessions(manager, store, tmp_path):
    outside = write_session(tmp_path, "outside")
    (store / "link.json").symlink_to(outside)
    os.mkfifo(store / "pipe.json")
    (store / "folder.json").mkdir()
    write_file(store, ".hidden", json.dumps(document()))
    (store / "notes.txt").write_text("x")
    assert manager.list_sessions() == []
    assert (manager.get_session_count(), manager.get_storage_size()) == (0, 0)
    for name in ("link", "pipe", "folder", ".hidden", "notes"):
        assert manager.check_session(name) == "not_found"
    assert manager.cleanup_all_sessions() == 0
    assert outside.exists()


# -- reading -----------------------------------------------------------------------------------------


def test_sessions_are_listed_sorted_and_counted_valid_or_not(manager, store):
    sizes = [write_session(store, name).stat().st_size for name in ("b", "a-1", "Z")]
    sizes.append(write_file(store, "broken", "{").stat().st_size)
    assert manager.list_sessions() == ["Z", "a-1", "b", "broken"]
    assert manager.get_session_count() == 4
    assert manager.get_storage_size() == sum(sizes)


def test_session_info_has_the_six_fields_as_they_stand_in_the_file(manager, store):
    write_session(store, "login", extra={"kept": True})
    info = manager.get_session_info("login")
    assert info == SessionInfo.from_dict(document("login"))
    assert info.to_dict() == document("login")
    assert "secret" not in repr(info)


def test_a_valid_session_without_metadata_has_empty_metadata(manager, store):
    write_session(store, "login", metadata=None)
    assert manager.validate_session("login")
    assert manager.get_session_info("login").metadata == {}


def test_what_holds_no_session_or_cannot_be_read_now_gives_no_info(manager, store, caplog):
    write_file(store, "broken", "[]")
    write_session(store, "half", cdp_url=None)
    write_file(store, "huge", " " * (2 << 20))
    assert manager.get_session_info("broken") is None
    assert manager.get_session_info("half") is None
    assert "huge" not in caplog.text
    assert manager.get_session_info("huge") is None
    assert manager.check_session("huge") == "unreadable"
    assert "get_session_info 'huge': huge.json is over 1 MiB" in caplog.text


# -- deleting ----------------------------------------------------------------------------------------


@BOTH
def test_delete_session_deletes_for_good_and_tells_whether_it_was_there(manager_class, store):
    manager = manager_class(store)
    path = write_session(store, "login")
    assert manager.delete_session("login") is True
    assert manager.delete_session("login") is False
    assert not path.exists()
    assert not (store / ".raptor/trash").exists()


def test_a_file_that_cannot_be_read_now_is_never_deleted(manager, store, caplog):
    path = write_file(store, "huge", " " * (2 << 20))
    write_session(store, "login", last_accessed=ago(days=30))
    with pytest.raises(SessionException) as caught:
        manager.delete_session("huge")
    assert caught.value.context["reason"] == "unreadable"
    assert manager.cleanup_expired_sessions() == 1
    assert manager.cleanup_invalid_sessions() == 0
    assert manager.cleanup_all_sessions() == 0
    assert path.exists()
    assert "kept a file: huge.json is over 1 MiB" in caplog.text


def test_cleanup_all_deletes_every_session_for_good(manager, store):
    for name in ("a", "b"):
        write_session(store, name)
    write_file(store, "broken", "{")
    assert manager.cleanup_all_sessions() == 3
    assert manager.list_sessions() == []
    assert not (store / ".raptor/trash").exists()


def test_age_is_exact_and_goes_by_last_access(manager, store):
    write_session(store, "older", last_accessed=ago(days=7.01))
    write_session(store, "younger", last_accessed=ago(days=6.99))
    write_session(store, "future", last_accessed=ago(days=-3))
    assert manager.cleanup_expired_sessions(7) == 1
    assert manager.list_sessions() == ["future", "younger"]


def test_cleanup_expired_takes_corrupt_files_and_invalid_timestamps_but_no_other_invalid_ones(manager, store):
    write_file(store, "corrupt", "{")
    write_session(store, "timeless", created_at="soon")
    write_session(store, "urlless", cdp_url="", last_accessed=ago(days=1))
    write_session(store, "fresh", last_accessed=ago(hours=1))
    assert manager.cleanup_expired_sessions() == 2
    assert manager.list_sessions() == ["fresh", "urlless"]


def test_cleanup_invalid_takes_what_fails_a_check_at_once_and_without_guards(manager, store):
    for number in range(20):
        write_file(store, f"corrupt-{number}", "{")
    write_session(store, "old", last_accessed=ago(days=365))
    assert manager.cleanup_invalid_sessions() == 20
    assert manager.list_sessions() == ["old"]


def test_what_cleanup_takes_lies_in_the_trash(manager, store):
    write_session(store, "login", last_accessed=ago(days=8))
    assert manager.cleanup_expired_sessions() == 1
    (deleted,) = (store / ".raptor/trash").glob("*/login.json")
    assert read_session(deleted)["session_id"] == "login"


def test_cleanup_honours_fractions_of_days_and_zero(manager, store):
    write_session(store, "login", last_accessed=ago(hours=13))
    assert manager.cleanup_expired_sessions(1) == 0
    assert manager.cleanup_expired_sessions(0.5) == 1
    write_session(store, "again", last_accessed=ago(seconds=5))
    assert manager.cleanup_expired_sessions(0) == 1


@pytest.mark.parametrize("days", [-1, float("nan"), "7", None, True])
def test_a_number_of_days_that_is_none_deletes_nothing_and_says_so(manager, store, days):
    write_session(store, "login")
    with pytest.raises(SessionException, match="max_age_days is") as caught:
        manager.cleanup_expired_sessions(days)
    assert caught.value.operation == "cleanup_expired_sessions"
    with pytest.raises(SessionException, match="max_age_days is"):
        SessionManager(store, max_age_days=days)
    assert manager.list_sessions() == ["login"]


def test_what_the_configuration_protects_stays(tmp_path, monkeypatch):
    file = tmp_path / "raptor.yaml"
    file.write_text('version: 1\nstore: {url: s}\ncleanup: {protect: [{metadata: {pinned: "true"}}]}\n')
    monkeypatch.setenv("RAPTOR_CONFIG", str(file))
    manager = SessionManager()
    write_session(tmp_path / "s", "pinned", metadata={"pinned": True})
    write_session(tmp_path / "s", "loose")
    assert manager.cleanup_expired_sessions() == 1
    assert manager.list_sessions() == ["pinned"]


# -- at the start ------------------------------------------------------------------------------------


@BOTH
def test_auto_cleanup_takes_expired_and_invalid_sessions_and_logs_one_line(manager_class, store, caplog):
    write_session(store, "old", last_accessed=ago(days=4))
    write_session(store, "young", last_accessed=ago(days=2))
    write_session(store, "urlless", cdp_url="", last_accessed=ago(days=1))
    caplog.set_level(logging.INFO)
    manager = manager_class(store, auto_cleanup_on_init=True, max_age_days=3)
    assert manager.list_sessions() == ["young"]
    lines = [r.getMessage() for r in caplog.records]
    assert lines == ["auto-cleanup: 1 expired and 1 invalid sessions deleted"]


def test_without_auto_cleanup_nothing_is_touched(store):
    write_session(store, "old", last_accessed=ago(days=400))
    assert SessionManager(store).list_sessions() == ["old"]
    assert not (store / ".raptor").exists()


# -- errors and logs ---------------------------------------------------------------------------------


@BOTH
def test_a_store_that_vanished_is_an_error_of_each_operation_under_its_name(manager_class, store, caplog):
    manager = manager_class(store)
    store.rmdir()
    operations = {
        "check_session": ("x",),
        "validate_session": ("x",),
        "get_session_info": ("x",),
        "delete_session": ("x",),
        "list_sessions": (),
        "get_session_count": (),
        "get_storage_size": (),
        "cleanup_expired_sessions": (),
        "cleanup_invalid_sessions": (),
        "cleanup_all_sessions": (),
    }
    for operation, arguments in operations.items():
        caplog.clear()
        with pytest.raises(SessionException, match="no such directory") as caught:
            getattr(manager, operation)(*arguments)
        assert caught.value.operation == operation
        assert caught.value.session_id == (arguments[0] if arguments else None)
        assert caught.value.__cause__ is not None
        assert [r.levelname for r in caplog.records if r.name == "raptor_exporter.manager"] == ["ERROR"]


def test_each_operation_logs_its_success(manager, store, caplog):
    write_session(store, "login")
    caplog.set_level(logging.DEBUG, "raptor_exporter.manager")
    manager.check_session("login")
    manager.list_sessions()
    manager.delete_session("login")
    messages = [r.getMessage() for r in caplog.records if r.name == "raptor_exporter.manager"]
    assert messages == [
        "check_session 'login': valid",
        "list_sessions: 1 sessions",
        "delete_session 'login': deleted",
    ]


def test_importing_the_package_loads_neither_playwright_nor_anything_else_that_is_heavy():
    code = (
        "import sys, raptor_exporter as r\n"
        "from raptor_exporter import SessionManager, SyncSessionManager, SessionInfo, SessionException\n"
        "heavy = {'playwright', 'playwright.async_api', 'playwright.sync_api', 'rich', 'starlette'}\n"
        "print(sorted(heavy & set(sys.modules)), sorted(r.__all__) == sorted(set(r.__all__) & set(dir(r))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "True"]


def test_the_bare_package_loads_nothing_beside_itself():
    code = (
        "import sys; before = set(sys.modules); import raptor_exporter\n"
        "new = sorted(set(sys.modules) - before)\n"
        "print([m for m in new if m.split('.')[0] not in sys.stdlib_module_names])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['raptor_exporter']"

"""`session save` and `restore`, on a real browser."""

import pytest
from support.chromium import running_chromium
from support.listeners import answering, free_port, http_answer
from support.sessions import read_session, write_session


@pytest.fixture(scope="module")
def chromium():
    with running_chromium() as browser:
        yield browser


@pytest.mark.parametrize("by", ["ws_url", "http_url"])
def test_a_running_browser_is_saved_and_restored_and_left_running(command, store_dir, chromium, by):
    url = getattr(chromium, by)
    saved = command("session", "save", "my login", "--cdp-url", url, "--store", store_dir)
    assert (saved.status, saved.err) == (0, "")
    assert saved.out == f"my login saved, at 127.0.0.1:{chromium.port}\n"
    document = read_session(store_dir, "mylogin")
    assert (document["session_id"], document["cdp_url"]) == ("my login", chromium.ws_url)
    assert document["metadata"]["page_target_id"] in {tab["id"] for tab in chromium.targets()}

    restored = command("session", "restore", "my login", "--store", store_dir)
    assert (restored.status, restored.err) == (0, "")
    assert restored.out == "Title\nURL    about:blank\n"
    assert read_session(store_dir, "mylogin")["last_accessed"] > document["last_accessed"]
    assert chromium.running
    for result in (saved, restored):
        assert "/devtools/" not in result.out + result.err


def test_restore_gives_one_json_object_without_secrets(command, store_dir, chromium):
    page = http_answer("<title>Hello</title>", headers="Content-Type: text/html\r\nConnection: close\r\n")
    with answering(page) as site:
        metadata = {"page_target_id": "gone", "page_url": f"http://ann:pw@{site.address}/inbox?token=t#mail"}
        write_session(store_dir, "login", cdp_url=chromium.ws_url, metadata=metadata)
        result = command("session", "restore", "login", "-o", "json", "--store", store_dir)
    assert result.json == {"name": "login", "title": "Hello", "url": f"http://{site.address}/inbox"}
    (warning,) = result.err.splitlines()
    assert "its tab was closed; a new one was opened at" in warning
    assert not any(secret in warning for secret in ("ann", "pw@", "token", "#mail"))


def test_a_dead_browser_fails_in_one_line_and_the_file_stays(command, store_dir):
    url = f"ws://127.0.0.1:{free_port()}/devtools/browser/secret"
    path = write_session(store_dir, "login", cdp_url=url)
    result = command("session", "restore", "login", "--store", store_dir)
    assert (result.status, result.out) == (1, "")
    (line,) = result.err.splitlines()
    assert line.startswith(
        "Error: restore_session 'login': its browser is gone: nothing listens at 127.0.0.1:"
    )
    assert path.exists()
    saved = command("session", "save", "new", "--cdp-url", url, "--store", store_dir)
    assert saved.status == 1
    (line,) = saved.err.splitlines()
    assert line.startswith("Error: open_browser: its browser is gone")
    assert not (store_dir / "new.json").exists()


def test_what_is_not_there_is_an_error(command, store_dir):
    result = command("session", "restore", "nobody", "--store", store_dir)
    assert (result.status, result.err) == (1, f"Error: there is no session 'nobody' in {store_dir}\n")


def test_an_invalid_session_is_an_error_with_its_reason(command, store_dir):
    write_session(store_dir, "bad", browser_type="opera")
    result = command("session", "restore", "bad", "--store", store_dir)
    assert result.status == 1
    assert "its file is invalid (invalid_browser_type)" in result.err


@pytest.mark.parametrize("url", ["", "nowhere", "ftp://h/secret"])
def test_a_url_that_is_none_is_a_usage_error_that_does_not_repeat_it(command, store_dir, url):
    result = command("session", "save", "login", "--cdp-url", url, "--store", store_dir)
    assert result.status == 2
    assert "is not a ws, wss, http or https URL with a host" in result.err
    assert "secret" not in result.err


def test_a_missing_store_is_not_made(command, tmp_path, chromium):
    store = tmp_path / "nowhere"
    for arguments in (("save", "x", "--cdp-url", chromium.ws_url), ("restore", "x"), ("delete", "x")):
        result = command("session", *arguments, "--store", store)
        assert (result.status, result.out) == (1, "")
        assert "no such directory" in result.err
    assert not store.exists()


def test_an_unsafe_name_is_refused_before_the_browser_is_asked(command, store_dir):
    url = f"ws://127.0.0.1:{free_port()}/devtools/browser/x"
    result = command("session", "save", "../..", "--cdp-url", url, "--store", store_dir)
    assert result.status == 1
    assert "has no letter, digit, '-' or '_'" in result.err

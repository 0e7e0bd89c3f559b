"""Save and restore in a real Chromium, in one process."""

import asyncio
import contextlib
import json
import logging
import threading
import time

import pytest
from playwright.async_api import async_playwright
from support.chromium import EXECUTABLE, running_chromium
from support.documents import read_session, write_session
from support.driver import connections_to, drivers
from support.listeners import free_port
from support.site import serving
from support.waiting import eventually_async

from raptor_exporter import SessionException, SessionManager

PAGE = "data:text/html,<title>Hello</title><p>text"
ROOT = ["--no-sandbox", "--headless=new", "--disable-gpu"]


@pytest.fixture(scope="module")
def chromium():
    with running_chromium() as browser:
        yield browser


@pytest.fixture(autouse=True)
def _few_tabs(chromium):
    """Every tab makes connecting slower."""
    yield
    for tab in [t for t in chromium.targets() if t["type"] == "page"][1:]:
        chromium.close_tab(tab["id"])


@pytest.fixture
def store(tmp_path):
    return tmp_path / "sessions"


@contextlib.asynccontextmanager
async def connected(chromium, url=PAGE):
    """A page in the default context, through a connection of its own that ends with the block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium.ws_url)
        page = await browser.contexts[0].new_page()
        await page.goto(url)
        yield page


async def saved(manager, chromium, name="login", **arguments):
    async with connected(chromium) as page:
        return await manager.save_session(page, name, **arguments)


# -- what is saved -----------------------------------------------------------------------------------


def test_a_session_file_holds_the_browsers_own_url_and_the_tab(chromium, store):
    async def story():
        manager = SessionManager(store)
        async with connected(chromium) as page:
            before = time.time()
            info = await manager.save_session(page, "log/in", {"env": "ci", "page_url": "mine"})
            assert manager.get_session_info("log/in") == info
        return before, info

    before, info = asyncio.run(story())
    assert (info.session_id, info.cdp_url, info.browser_type) == ("log/in", chromium.ws_url, "chromium")
    (tab,) = [t for t in chromium.targets() if t["id"] == info.metadata["page_target_id"]]
    assert tab["type"] == "page"
    assert info.metadata == {
        "env": "ci",
        "page_url": PAGE,
        "page_title": "Hello",
        "page_target_id": tab["id"],
    }
    from raptor_exporter.session import parse_timestamp

    assert info.created_at == info.last_accessed
    assert before <= parse_timestamp(info.created_at) <= time.time()
    assert info.created_at.endswith("+00:00")
    assert (store / "login.json").stat().st_mode & 0o777 == 0o600


def test_saving_a_name_again_makes_a_new_session_of_it_and_keeps_unknown_keys_and_mode(chromium, store):
    path = write_session(store, "login", metadata={"old": 1}, theirs={"kept": True})
    path.chmod(0o640)

    async def story():
        return await saved(SessionManager(store), chromium)

    info = asyncio.run(story())
    document = read_session(path)
    assert document["created_at"] == info.created_at > "2026"
    assert document["theirs"] == {"kept": True}
    assert "old" not in document["metadata"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_name_whose_file_belongs_to_another_session_is_refused(chromium, store):
    path = write_session(store, "login", session_id="log in")
    before = path.read_bytes()

    async def story():
        with pytest.raises(SessionException, match="belongs to the session 'log in'") as caught:
            await saved(SessionManager(store), chromium, "log-in".replace("-", "."))
        return caught.value

    error = asyncio.run(story())
    assert (error.operation, error.session_id) == ("save_session", "log.in")
    assert error.__cause__ is not None
    assert path.read_bytes() == before


def test_what_a_page_puts_into_its_title_and_url_never_breaks_the_file(chromium, store):
    async def story():
        manager = SessionManager(store)
        async with connected(chromium) as page:
            await page.evaluate("document.title = '\\ud83e' + 'x'.repeat(5000)")
            info = await manager.save_session(page, "login")
            assert manager.get_session_info("login") == info
            assert info.metadata["page_title"] == "?" + "x" * 999

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "why"), [("", "no letter"), ("../..", "no letter"), ("ä" * 126, "252 bytes"), (None, "is text")]
)
def test_the_name_is_checked_before_the_page(store, name, why):
    async def story():
        with pytest.raises(SessionException, match=why) as caught:
            await SessionManager(store).save_session(None, name)
        return caught.value

    error = asyncio.run(story())
    assert (error.operation, error.session_id) == ("save_session", name)


def test_metadata_that_no_file_can_hold_is_refused(chromium, store):
    async def story():
        manager = SessionManager(store)
        async with connected(chromium) as page:
            with pytest.raises(SessionException, match=r"metadata\['when'\] is of type set"):
                await manager.save_session(page, "login", {"when": {1}})
            with pytest.raises(SessionException, match="too large"):
                await manager.save_session(page, "login", {"huge": "x" * (1 << 20)})
        assert manager.list_sessions() == []

    asyncio.run(story())


# -- how the browser was started ---------------------------------------------------------------------


def launched(tmp_path, *args):
    return {"executable_path": EXECUTABLE, "args": [*ROOT, *args], "user_data_dir": tmp_path / "my profile"}


@pytest.mark.parametrize("port", ["free", 0])
def test_a_persistent_context_with_a_port_is_found_also_in_a_directory_with_spaces(tmp_path, store, port):
    number = free_port() if port == "free" else 0

    async def story():
        async with async_playwright() as playwright, SessionManager(store) as manager:
            context = await playwright.chromium.launch_persistent_context(
                **launched(tmp_path, f"--remote-debugging-port={number}")
            )
            page = context.pages[0]
            await page.goto(PAGE)
            await page.evaluate("window.heap = 42")
            info = await manager.save_session(page, "login")
            if number:
                assert f":{number}/devtools/browser/" in info.cdp_url
            restored = await manager.restore_session("login")
            assert await restored.evaluate("window.heap") == 42
            await context.close()

    asyncio.run(story())


def test_a_browser_on_a_pipe_is_refused_with_what_to_do(tmp_path, store):
    async def story():
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(**launched(tmp_path))
            with pytest.raises(SessionException, match=r"listens on no port.*launch_browser\(\)") as caught:
                await SessionManager(store).save_session(context.pages[0], "login")
            await context.close()
        return caught.value

    assert asyncio.run(story()).context == {"problem": "no_endpoint"}


def test_a_fixed_port_that_another_browser_has_is_found_on_the_other_loopback(chromium, store):
    """A second browser on a busy port starts silently on ::1; the first one must not be taken for it."""

    async def story(second):
        async with SessionManager(store) as manager:
            info = await saved(manager, second)
            assert info.cdp_url == f"ws://[::1]:{chromium.port}{second.path}"
            assert await (await manager.restore_session("login")).title() == "Hello"

    with running_chromium(port=chromium.port) as second:
        if second.host == "127.0.0.1":
            pytest.skip("this machine has no IPv6 loopback")
        asyncio.run(story(second))


def test_of_two_browsers_on_one_port_of_localhost_the_right_one_is_found(chromium, store):
    """And by a name that Chromium itself refuses in the Host header."""

    async def story(second):
        async with SessionManager(store) as manager:
            for browser in (chromium, second):
                url = f"ws://localhost:{chromium.port}{browser.path}"
                write_session(store, "login", cdp_url=url, metadata={})
                page = await manager.restore_session("login")
                await page.evaluate("document.title = 'found'")
                assert [tab["title"] for tab in browser.targets() if tab["title"] == "found"] == ["found"]
                assert await manager.restore_session("login") is page

    with running_chromium(port=chromium.port) as second:
        asyncio.run(story(second))


def test_a_scheme_in_capitals_and_a_fragment_are_legal_and_lead_to_the_same_connection(chromium, store):
    async def story():
        async with SessionManager(store) as manager:
            write_session(store, "login", cdp_url=chromium.ws_url, metadata={})
            page = await manager.restore_session("login")
            odd = f"WS://127.0.0.1:{chromium.port}{chromium.path}#somewhere"
            write_session(store, "login", cdp_url=odd, metadata={})
            assert await manager.restore_session("login") is page

    asyncio.run(story())


def test_a_browser_behind_a_name_that_it_refuses_is_found(chromium, store, monkeypatch):
    import socket

    name = socket.gethostname()
    addresses = {a[4][0] for a in socket.getaddrinfo(name, chromium.port, type=socket.SOCK_STREAM)}
    if not any(address.startswith("127.") for address in addresses):
        pytest.skip("the name of this machine does not lead to its loopback")
    write_session(store, "login", cdp_url=f"ws://{name}:{chromium.port}{chromium.path}", metadata={})

    async def story():
        async with SessionManager(store) as manager:
            page = await manager.restore_session("login")
            await page.evaluate("document.title = 'found'")
            assert "found" in [tab["title"] for tab in chromium.targets()]

    asyncio.run(story())


def test_an_old_port_file_is_not_believed(chromium, store):
    async def story(frozen):
        async with async_playwright() as playwright:
            browser = await playwright.chromium.connect_over_cdp(frozen.ws_url)
            (frozen.user_data_dir / "DevToolsActivePort").write_text(f"{chromium.port}\n{chromium.path}")
            with pytest.raises(SessionException, match="does not listen for it on this machine") as caught:
                await SessionManager(store).save_session(browser.contexts[0].pages[0], "login")
            assert "cdp_url=" in str(caught.value)

    with running_chromium() as other:
        asyncio.run(story(other))


def test_a_context_that_would_vanish_is_refused(chromium, store):
    async def story():
        async with async_playwright() as playwright:
            browser = await playwright.chromium.connect_over_cdp(chromium.ws_url)
            manager = SessionManager(store)
            for arguments in ({}, {"cdp_url": chromium.ws_url}):
                page = await (await browser.new_context()).new_page()
                with pytest.raises(SessionException, match=r"vanishes.*contexts\[0\]") as caught:
                    await manager.save_session(page, "login", **arguments)
                assert caught.value.context == {"problem": "vanishing_context"}
            assert manager.list_sessions() == []

    asyncio.run(story())


def test_closed_pages_and_things_that_are_no_pages_are_refused(chromium, store):
    async def story():
        manager = SessionManager(store)
        async with connected(chromium) as page:
            await page.close()
            with pytest.raises(SessionException, match="the page is closed"):
                await manager.save_session(page, "login")
        with pytest.raises(SessionException, match=r"is closed|gone or disconnected"):
            await manager.save_session(page, "login")
        with pytest.raises(SessionException, match="not a Playwright page but NoneType"):
            await manager.save_session(None, "login")

    asyncio.run(story())


def test_a_page_of_a_browser_that_died_is_refused(store):
    async def story(chromium):
        async with connected(chromium) as page:
            chromium.kill()
            with pytest.raises(SessionException, match=r"closed|gone|did not answer"):
                await SessionManager(store).save_session(page, "login")

    with running_chromium() as other:
        asyncio.run(story(other))


def test_a_blocked_tab_can_be_saved(chromium, store):
    """The browser itself knows all that a session needs."""

    async def story():
        manager = SessionManager(store)
        async with connected(chromium) as page:
            await page.evaluate("document.title = 'Busy'; setTimeout(() => { for (;;); }, 0)")
            info = await manager.save_session(page, "login")
            assert info.metadata["page_title"] == "Busy"
            await page.close()

    asyncio.run(story())


# -- cdp_url -----------------------------------------------------------------------------------------


def test_the_url_of_a_proxy_is_taken_as_it_is(chromium, store):
    proxy = "wss://proxy.example/browser?token=secret"

    async def story():
        manager = SessionManager(store)
        info = await saved(manager, chromium, cdp_url=proxy)
        assert (info.cdp_url, manager.validate_session("login")) == (proxy, True)
        assert info.metadata["page_target_id"]

    asyncio.run(story())


def test_an_http_url_of_the_browser_becomes_its_websocket_url(chromium, store):
    """By http one would be in the wrong browser after a restart on the same port."""

    async def story():
        info = await saved(SessionManager(store), chromium, cdp_url=chromium.http_url)
        assert info.cdp_url == chromium.ws_url

    asyncio.run(story())


def test_a_cdp_url_that_is_none_is_refused(chromium, store):
    async def story():
        manager = SessionManager(store)
        async with connected(chromium) as page:
            for url in ("", "127.0.0.1:9222", "file:///x", 9222):
                with pytest.raises(
                    SessionException, match="cdp_url is not a ws, wss, http or https"
                ) as caught:
                    await manager.save_session(page, "login", cdp_url=url)
                assert caught.value.context == {"problem": "bad_cdp_url"}

    asyncio.run(story())


# -- what is restored --------------------------------------------------------------------------------


def test_the_very_tab_comes_back_among_others_and_last_access_moves(chromium, store):
    async def story():
        async with SessionManager(store) as manager:
            async with connected(chromium) as page, connected(chromium):
                await page.evaluate("window.heap = {n: 7}")
                info = await manager.save_session(page, "login")
            restored = await manager.restore_session("login")
            assert await restored.evaluate("window.heap") == {"n": 7}
            after = manager.get_session_info("login")
            assert after.last_accessed > info.last_accessed
            assert after == type(info)(**{**info.to_dict(), "last_accessed": after.last_accessed})

    asyncio.run(story())


def test_twenty_restores_reuse_one_connection_and_one_driver(chromium, store, record_property):
    async def story():
        async with SessionManager(store) as manager:
            await saved(manager, chromium)
            first = await manager.restore_session("login")
            started = time.perf_counter()
            pages = [await manager.restore_session("login") for _ in range(20)]
            seconds = time.perf_counter() - started
            assert all(page is first for page in pages)
            assert len(drivers()) == 1
            # The last probe's own connection may still be closing.
            await eventually_async(lambda: connections_to(chromium.port) == 1)
        return seconds / 20

    seconds = asyncio.run(story())
    assert drivers() == []
    record_property("warm restore, ms", round(seconds * 1000, 1))


def test_a_tab_that_is_gone_is_opened_anew_at_its_url_with_a_warning_and_only_once(chromium, store, caplog):
    async def story():
        async with SessionManager(store) as manager:
            async with connected(chromium) as page:
                info = await manager.save_session(page, "login")
                await page.close()
            tabs = len(chromium.targets())
            pages = await asyncio.gather(*(manager.restore_session("login") for _ in range(3)))
            pages.append(await manager.restore_session("login"))
            assert {id(page) for page in pages} == {id(pages[0])}
            assert (pages[0].url, await pages[0].title()) == (PAGE, "Hello")
            assert len(chromium.targets()) == tabs + 1
            assert info.metadata["page_target_id"] not in {t["id"] for t in chromium.targets()}

    asyncio.run(story())
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings[0] == "restore_session 'login': its tab was closed; a new one was opened at data:…"


HOSTILE = ["javascript:alert(1)", "chrome://quit", "about:crash", "view-source:http://h/", "", None, 5, "\0"]


def test_a_page_url_that_is_a_command_is_not_obeyed(chromium, store):
    async def story():
        async with SessionManager(store) as manager:
            for page_url in HOSTILE:
                metadata = {"page_target_id": "gone", "page_url": page_url}
                write_session(store, "login", cdp_url=chromium.ws_url, metadata=metadata)
                page = await manager.restore_session("login")
                assert page.url == "about:blank"
                await page.close()

    asyncio.run(story())
    assert chromium.running


def test_a_new_tab_whose_page_does_not_load_is_given_with_a_warning(chromium, store, caplog):
    async def story():
        url = f"http://me:secret@127.0.0.1:{free_port()}/path?token=x#f"
        write_session(
            store, "login", cdp_url=chromium.ws_url, metadata={"page_target_id": "gone", "page_url": url}
        )
        async with SessionManager(store) as manager:
            await (await manager.restore_session("login")).close()

    asyncio.run(story())
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "/path did not load (" in warning
    assert not any(word in warning for word in ("secret", "token", "#f"))


def test_a_file_without_a_tab_gives_the_first_one(chromium, store):
    """As the RAPTOR framework writes them: naive timestamps, no target."""
    write_session(store, "login", cdp_url=chromium.ws_url, metadata={})
    write_session(store, "by-http", cdp_url=chromium.http_url, metadata=None)

    async def story():
        async with SessionManager(store) as manager:
            page = await manager.restore_session("login")
            assert page is page.context.pages[0]
            assert (await manager.restore_session("by-http")).url == page.url

    asyncio.run(story())
    document = json.loads((store / "login.json").read_text())
    assert document["created_at"] == "2024-11-28T10:00:00"
    assert document["last_accessed"] > "2026"


def test_a_proxy_of_the_environment_is_not_asked_for_the_way_to_a_browser(chromium, store, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    write_session(store, "by-http", cdp_url=chromium.http_url, metadata={})

    async def story():
        async with SessionManager(store) as manager:
            await saved(manager, chromium)
            assert await (await manager.restore_session("login")).title() == "Hello"
            await manager.restore_session("by-http")

    asyncio.run(story())


def test_open_browser_gives_the_first_tab_to_save(chromium, store):
    async def story():
        async with SessionManager(store) as manager:
            page = await manager.open_browser(chromium.ws_url)
            info = await manager.save_session(page, "login")
            assert info.cdp_url == chromium.ws_url
            assert await manager.restore_session("login") is page

    asyncio.run(story())


def test_closing_leaves_the_browser_its_tabs_and_other_clients_alone(chromium, store):
    async def story():
        async with connected(chromium) as page:
            manager = SessionManager(store)
            await manager.save_session(page, "login")
            await manager.restore_session("login")
            await manager.close()
            await manager.close()
            assert await page.title() == "Hello"
            with pytest.raises(SessionException, match="this manager is closed"):
                await manager.restore_session("login")
            assert manager.list_sessions() == ["login"]  # what needs no browser goes on

    asyncio.run(story())
    assert chromium.running


def test_a_manager_that_never_restored_starts_no_driver(store):
    async def story():
        async with SessionManager(store) as manager:
            manager.list_sessions()
            assert drivers() == []

    asyncio.run(story())


def test_a_manager_belongs_to_one_event_loop(chromium, store):
    manager = SessionManager(store)

    async def first():
        await saved(manager, chromium)
        await manager.restore_session("login")
        # From a second loop while the first one lives, as a thread with its own loop has it.
        failures = []

        def elsewhere():
            try:
                asyncio.run(manager.restore_session("login"))
            except SessionException as error:
                failures.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        await manager.close()
        return failures

    (failure,) = asyncio.run(first())
    assert "another event loop or thread" in str(failure)
    assert failure.context == {"problem": "other_loop"}
    assert drivers() == []


def test_a_session_deleted_in_between_is_restored_with_a_warning(chromium, store, caplog, monkeypatch):
    async def story():
        async with SessionManager(store) as manager:
            await saved(manager, chromium)
            touch = manager._store.touch

            def touch_and_lose(stem):
                found = touch(stem)
                document = (store / "login.json").read_bytes()
                monkeypatch.setattr(manager._store, "read_settled", lambda _stem: document)
                (store / "login.json").unlink()
                return found

            monkeypatch.setattr(manager._store, "touch", touch_and_lose)
            assert await (await manager.restore_session("login")).title() == "Hello"
        assert not (store / "login.json").exists()

    asyncio.run(story())
    assert "deleted while it was being restored" in caplog.text


@pytest.fixture
def site():
    with serving("<title>Site</title>") as url:
        yield url


def test_a_new_tab_shares_the_logins_of_the_old_one(chromium, store, site):
    async def story():
        async with SessionManager(store) as manager:
            async with connected(chromium, site) as page:
                await page.evaluate("localStorage.user = 'ann'; document.cookie = 'id=1; max-age=60'")
                await manager.save_session(page, "login")
                await page.close()
            page = await manager.restore_session("login")
            assert await page.evaluate("[localStorage.user, document.cookie]") == ["ann", "id=1"]

    asyncio.run(story())

"""The synchronous half, over the same steps as the asynchronous one."""

import asyncio
import threading

import pytest
from playwright.sync_api import sync_playwright
from support.chromium import running_chromium
from support.documents import write_session
from support.driver import drivers
from support.listeners import free_port

from raptor_exporter import SessionException, SessionManager, SyncSessionManager

PAGE = "data:text/html,<title>Hello</title>"


@pytest.fixture(scope="module")
def chromium():
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def store(tmp_path):
    return tmp_path / "sessions"


def save(store, chromium, name="login"):
    """In a Playwright of its own, which is over afterwards."""
    with sync_playwright() as playwright:
        page = playwright.chromium.connect_over_cdp(chromium.ws_url).contexts[0].pages[0]
        page.goto(PAGE)
        page.evaluate("window.heap = 42")
        return SyncSessionManager(store).save_session(page, name, {"env": "ci"})


def test_a_session_is_saved_and_its_very_tab_restored(chromium, store):
    info = save(store, chromium)
    assert (info.cdp_url, info.metadata["page_title"], info.metadata["env"]) == (
        chromium.ws_url,
        "Hello",
        "ci",
    )
    with SyncSessionManager(store) as manager:
        assert manager.get_session_info("login") == info
        page = manager.restore_session("login")
        assert page.evaluate("window.heap") == 42
        assert manager.restore_session("login") is page
        assert len(drivers()) == 1
        assert manager.get_session_info("login").last_accessed > info.last_accessed
    assert drivers() == []
    asyncio.run(asyncio.sleep(0))  # the thread is free for event loops again


def test_what_the_one_half_saved_the_other_restores(chromium, store):
    save(store, chromium)

    async def story():
        async with SessionManager(store) as manager:
            page = await manager.restore_session("login")
            assert await page.evaluate("window.heap") == 42

    asyncio.run(story())


def test_beside_a_running_playwright_the_given_one_is_used_and_left_running(chromium, store):
    save(store, chromium)
    with sync_playwright() as playwright:
        with SyncSessionManager(store, playwright=playwright) as manager:
            assert manager.restore_session("login").title() == "Hello"
            assert len(drivers()) == 1
        browser = playwright.chromium.connect_over_cdp(chromium.ws_url)
        assert browser.contexts[0].pages[0].title() == "Hello"


def test_beside_a_running_playwright_that_of_the_saved_page_is_used(chromium, store):
    manager = SyncSessionManager(store)
    with sync_playwright() as playwright:
        page = playwright.chromium.connect_over_cdp(chromium.ws_url).contexts[0].pages[0]
        manager.save_session(page, "login")
        assert manager.restore_session("login").evaluate("1 + 1") == 2
        assert len(drivers()) == 1
    # That one is over now, so the manager starts its own.
    assert manager.restore_session("login").evaluate("1 + 1") == 2
    manager.close()
    assert drivers() == []


def test_beside_a_running_playwright_of_which_nothing_is_known_the_error_says_what_to_give(chromium, store):
    save(store, chromium)
    with (
        sync_playwright(),
        SyncSessionManager(store) as manager,
        pytest.raises(SessionException, match=r"SyncSessionManager\(playwright=\.\.\.\)") as caught,
    ):
        manager.restore_session("login")
    assert caught.value.context["problem"] == "other_loop"


def test_in_a_coroutine_the_error_names_the_other_half(chromium, store):
    save(store, chromium)

    async def story():
        manager = SyncSessionManager(store)
        with pytest.raises(SessionException, match="use SessionManager and await it"):
            manager.restore_session("login")
        manager.close()

    asyncio.run(story())
    assert drivers() == []


def test_pages_of_the_other_api_are_refused_with_the_manager_to_use(chromium, store):
    from playwright.async_api import async_playwright

    with sync_playwright() as playwright:
        page = playwright.chromium.connect_over_cdp(chromium.ws_url).contexts[0].pages[0]
        save_it = SessionManager(store).save_session(page, "login")
        with pytest.raises(SessionException, match="use SyncSessionManager"):
            save_it.send(None)

    async def story():
        async with async_playwright() as playwright:
            page = (await playwright.chromium.connect_over_cdp(chromium.ws_url)).contexts[0].pages[0]
            with pytest.raises(SessionException, match="use SessionManager"):
                SyncSessionManager(store).save_session(page, "login")

    asyncio.run(story())


def test_a_manager_belongs_to_one_thread(chromium, store):
    save(store, chromium)
    failures = []
    with SyncSessionManager(store) as manager:
        manager.restore_session("login")

        def elsewhere():
            try:
                manager.restore_session("login")
            except SessionException as error:
                failures.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert "another event loop or thread" in str(failures[0])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"browser_type": "webkit"}, "not_chromium"),
        ({"cdp_url": "ws://127.0.0.1:1/devtools/page/x"}, "bad_cdp_url"),
        ({"cdp_url": f"ws://127.0.0.1:{free_port()}/devtools/browser/x"}, "dead"),
    ],
)
def test_failures_are_the_same_as_in_the_other_half(store, fields, problem):
    write_session(store, "login", **fields)
    with SyncSessionManager(store) as manager, pytest.raises(SessionException) as caught:
        manager.restore_session("login")
    assert caught.value.context["problem"] == problem
    assert (caught.value.operation, caught.value.session_id) == ("restore_session", "login")


def test_a_killed_and_a_frozen_browser_fail_a_warm_manager_in_bounded_time(store):
    with running_chromium() as chromium, SyncSessionManager(store) as manager:
        save_page = manager.open_browser(chromium.ws_url)
        manager.save_session(save_page, "login")
        manager.restore_session("login")
        chromium.stop()
        with pytest.raises(SessionException, match="hangs"):
            manager.restore_session("login")
        chromium.cont()
        assert manager.restore_session("login") is save_page
        chromium.kill()
        with pytest.raises(SessionException, match="nothing listens"):
            manager.restore_session("login")
    assert drivers() == []


def test_a_tab_that_blocks_fails_in_bounded_time_and_the_manager_goes_on(store):
    with running_chromium() as chromium, SyncSessionManager(store) as manager:
        page = manager.open_browser(chromium.ws_url)
        other = page.context.new_page()
        manager.save_session(page, "login")
        manager.save_session(other, "busy")
        other.evaluate("setTimeout(() => { for (;;); }, 0)")
        with pytest.raises(SessionException, match="blocked"):
            manager.restore_session("busy")
        assert manager.restore_session("login").evaluate("1 + 1") == 2

"""Every way in which a browser can fail a restore, provoked for real."""

import asyncio
import importlib
import logging
import os
import signal
import socket
import time

import pytest
import websockets
from playwright.async_api import async_playwright
from support.chromium import running_chromium
from support.documents import write_session
from support.driver import drivers
from support.listeners import answering, free_port, http_answer, silent

from raptor_exporter import SessionException, SessionManager
from raptor_exporter.manager.base import RESTORE_SECONDS

SECRET = "/devtools/browser/3f0c0ffe-secret"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "sessions"


def told(error: BaseException) -> str:
    """Everything that could be printed of an error: its message, context, and all causes."""
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(f"{type(cause).__name__}: {cause!r}")
        if isinstance(cause, SessionException):
            texts.append(repr(cause.context))
        cause = cause.__cause__ or cause.__context__
    return "\n".join(texts)


async def failing(manager, problem, *, context_has=(), name="login"):
    """Restore, and check everything that holds of every failure."""
    path = manager.get_storage_dir() / f"{name}.json"
    before = path.read_bytes()
    with pytest.raises(SessionException) as caught:
        await manager.restore_session(name)
    error = caught.value
    assert (error.operation, error.session_id) == ("restore_session", name)
    assert error.context["problem"] == problem
    assert set(context_has) <= set(error.context)
    assert error.__cause__ is not None
    assert "/devtools/browser/" not in told(error)
    assert path.read_bytes() == before, "the file must stay as it was"
    return error


async def saved(manager, chromium, name="login"):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium.ws_url)
        await manager.save_session(browser.contexts[0].pages[0], name)


def restoring(store, problem, **fields):
    """One restore of a file with these fields by a manager of its own; its message."""
    write_session(store, "login", **fields)

    async def story():
        async with SessionManager(store) as manager:
            return await failing(manager, problem)

    error = asyncio.run(story())
    assert drivers() == []
    return str(error)


# -- before a browser is asked -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"session_id": ""}, "missing_session_id"),
        ({"cdp_url": "nowhere"}, "missing_cdp_url"),
        ({"last_accessed": "soon"}, "invalid_timestamp"),
        ({"browser_type": "opera"}, "invalid_browser_type"),
    ],
)
def test_an_invalid_file_is_refused_with_its_reason_and_left_alone(store, fields, reason, caplog):
    path = write_session(store, "login", **fields)
    before = path.stat().st_mtime_ns

    async def story():
        with pytest.raises(SessionException, match=rf"its file is invalid \({reason}\)") as caught:
            await SessionManager(store).restore_session("login")
        return caught.value

    error = asyncio.run(story())
    assert error.context == {"reason": reason}
    assert path.stat().st_mtime_ns == before
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR] == [str(error)]


@pytest.mark.parametrize("name", ["nobody", "", "../login", "\0", None, "x" * 300])
def test_a_session_that_is_not_there_is_not_found(store, name):
    async def story():
        with pytest.raises(SessionException, match="there is no session of that name") as caught:
            await SessionManager(store).restore_session(name)
        return caught.value

    error = asyncio.run(story())
    assert (error.operation, error.session_id) == ("restore_session", name)
    assert error.context == {"reason": "not_found"}


def test_a_file_that_cannot_be_read_now_is_an_error(store):
    (write_session(store)).write_text(" " * (2 << 20))

    async def story():
        with pytest.raises(SessionException, match="over 1 MiB") as caught:
            await SessionManager(store).restore_session("login")
        return caught.value

    assert asyncio.run(story()).context == {"reason": "unreadable"}


@pytest.mark.parametrize("browser_type", ["firefox", "webkit"])
def test_a_session_that_is_not_chromiums_is_valid_and_restored_never(store, browser_type):
    with silent() as listener:
        url = f"ws://{listener.address}{SECRET}"
        message = restoring(store, "not_chromium", browser_type=browser_type, cdp_url=url)
    assert f"it is a session of {browser_type}, which has no CDP" in message
    assert SessionManager(store).validate_session("login")


def test_a_url_of_a_single_tab_is_refused_before_anybody_is_called(store):
    with answering(b"") as listener:
        url = f"ws://{listener.address}/devtools/page/ABC"
        message = restoring(store, "bad_cdp_url", cdp_url=url)
        assert listener.requests == []
    assert f"names a single tab at {listener.address}" in message
    assert "ABC" not in message


# -- listeners ---------------------------------------------------------------------------------------


def test_a_dead_port(store):
    port = free_port()
    message = restoring(store, "dead", cdp_url=f"ws://127.0.0.1:{port}{SECRET}")
    assert f"its browser is gone: nothing listens at 127.0.0.1:{port} any more" in message


def test_a_listener_that_never_answers(store):
    with silent() as listener:
        message = restoring(store, "hung", cdp_url=f"ws://{listener.address}{SECRET}")
    assert f"its browser at {listener.address} hangs" in message


GARBAGE = [
    b"SSH-2.0-OpenSSH_9.2\r\n",
    http_answer("<h1>It works!</h1>"),
    http_answer("{}", "404 Not Found"),
    http_answer('{"webSocketDebuggerUrl": 5}'),
    b"",
    b"\x00\xff" * 4096,
]


def test_garbage(store):
    async def story():
        async with SessionManager(store) as manager:
            for answer in GARBAGE:
                with answering(answer) as listener:
                    write_session(store, "login", cdp_url=f"ws://{listener.address}{SECRET}")
                    error = await failing(manager, "not_a_browser")
                assert f"its browser is gone: what listens at {listener.address}" in str(error)

    asyncio.run(story())
    assert drivers() == []


def test_something_that_answers_like_the_browser_and_then_is_none(store):
    def answer(connection: socket.socket, request: bytes) -> None:
        if b"/json/version" in request:
            connection.sendall(http_answer(f'{{"webSocketDebuggerUrl": "ws://h{SECRET}"}}'))
        else:
            connection.sendall(http_answer("no", "500 Broken"))

    with answering(answer) as listener:
        message = restoring(store, "dropped", cdp_url=f"ws://{listener.address}{SECRET}")
    assert "broke off" in message


def test_a_name_that_does_not_resolve(store):
    message = restoring(store, "unreachable", cdp_url=f"ws://browser.invalid:9222{SECRET}")
    assert "can't be reached: the name browser.invalid" in message


# -- real browsers -----------------------------------------------------------------------------------


def test_a_killed_browser_with_a_cold_and_with_a_warm_connection(store):
    async def story(chromium):
        async with SessionManager(store) as manager, SessionManager(store) as cold:
            await saved(manager, chromium)
            await manager.restore_session("login")
            chromium.kill()
            assert "nothing listens" in str(await failing(manager, "dead", context_has=["address"]))
            assert "nothing listens" in str(await failing(cold, "dead"))

    with running_chromium() as chromium:
        asyncio.run(story(chromium))
    assert drivers() == []


def test_a_frozen_browser_with_a_cold_and_with_a_warm_connection_and_back_again(store):
    async def story(chromium):
        async with SessionManager(store) as manager, SessionManager(store) as cold:
            await saved(manager, chromium)
            page = await manager.restore_session("login")
            chromium.stop()
            for each in (manager, cold):
                assert "hangs" in str(await failing(each, "hung"))
            chromium.cont()
            assert await manager.restore_session("login") is page

    with running_chromium() as chromium:
        asyncio.run(story(chromium))
    assert drivers() == []


def test_another_browser_on_the_same_port(store):
    port = free_port()

    async def save(chromium):
        async with SessionManager(store) as manager:
            await saved(manager, chromium)

    async def story():
        async with SessionManager(store) as manager:
            error = await failing(manager, "replaced")
            assert f"another browser was started at 127.0.0.1:{port}" in str(error)

    with running_chromium(port=port) as first:
        asyncio.run(save(first))
    with running_chromium(port=port):
        asyncio.run(story())


BUSY = "setTimeout(() => { for (;;); }, 0)"
DIALOG = "setTimeout(() => alert('sign here'), 0)"


async def block(chromium, script, target_id):
    """Block a tab and disconnect, without waiting for the tab, which can't answer any more."""
    url = f"ws://{chromium.host}:{chromium.port}/devtools/page/{target_id}"
    async with websockets.connect(url) as tab:
        await tab.send('{"id": 1, "method": "Page.enable"}')
        await tab.recv()
        expression = script.replace('"', "'")
        await tab.send(
            f'{{"id": 2, "method": "Runtime.evaluate", "params": {{"expression": "{expression}"}}}}'
        )
        # Its own answer comes before the timer fires; what is waited for is that the tab hangs.
        while '"id":2' not in str(await tab.recv()):
            pass
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        async with websockets.connect(url) as tab:
            await tab.send('{"id": 3, "method": "Runtime.evaluate", "params": {"expression": "1"}}')
            try:
                async with asyncio.timeout(0.3):
                    await tab.recv()
            except TimeoutError:
                return
    raise AssertionError("the tab does not block")


@pytest.mark.parametrize("script", [BUSY, DIALOG], ids=["busy", "dialog"])
def test_a_blocked_tab_fails_the_restore_of_a_cold_manager(store, script):
    async def story(chromium):
        async with SessionManager(store) as manager:
            await saved(manager, chromium)
            await block(chromium, script, chromium.open_tab()["id"])
            error = await failing(manager, "blocked")
            assert "blocked by a busy script or an open dialog" in str(error)

    with running_chromium() as chromium:
        asyncio.run(story(chromium))
    assert drivers() == []


def test_a_warm_manager_reaches_its_tab_beside_a_blocked_one_but_not_a_blocked_one(store):
    async def story(chromium):
        async with SessionManager(store) as manager:
            await saved(manager, chromium)
            page = await manager.restore_session("login")
            other = await page.context.new_page()
            await manager.save_session(other, "other")
            await other.evaluate(BUSY)
            assert await manager.restore_session("login") is page
            assert "blocked" in str(await failing(manager, "blocked", name="other"))

    with running_chromium() as chromium:
        asyncio.run(story(chromium))


def test_a_connection_that_drops_in_the_middle(store, monkeypatch):
    """The browser dies after it was connected to, before its tab was found."""
    module = importlib.import_module("raptor_exporter.browser.reopen")

    async def story(chromium):
        async with SessionManager(store) as manager:
            await saved(manager, chromium)
            find = module._find

            async def find_in_a_dead_browser(*arguments):
                chromium.kill()
                return await find(*arguments)

            monkeypatch.setattr(module, "_find", find_in_a_dead_browser)
            assert "broke off" in str(await failing(manager, "dropped"))
            monkeypatch.undo()
            assert "nothing listens" in str(await failing(manager, "dead"))

    with running_chromium() as chromium:
        asyncio.run(story(chromium))
    assert drivers() == []


def test_two_restores_at_once_share_one_connection(store):
    async def story(chromium):
        async with SessionManager(store) as manager:
            await saved(manager, chromium)
            await saved(manager, chromium, "twin")
            names = ["login", "twin", "login", "twin"]
            pages = await asyncio.gather(*(manager.restore_session(name) for name in names))
            assert len({id(page) for page in pages}) == 1
            assert len(drivers()) == 1

    with running_chromium() as chromium:
        asyncio.run(story(chromium))


def test_a_restore_that_is_cancelled_leaves_nothing_behind(store):
    async def story(chromium):
        async with SessionManager(store) as manager:
            await saved(manager, chromium)
            for delay in (0.0, 0.05, 0.2, 0.4):
                task = asyncio.create_task(manager.restore_session("login"))
                await asyncio.wait([task], timeout=delay)
                task.cancel()
                await asyncio.wait([task])
            assert await (await manager.restore_session("login")).title() == ""
            assert len(drivers()) == 1

    with running_chromium() as chromium:
        asyncio.run(story(chromium))
    assert drivers() == []


def test_a_manager_that_is_closed_in_the_middle_of_a_restore_leaves_nothing_behind(store):
    async def story(chromium):
        manager = SessionManager(store)
        await saved(manager, chromium)
        task = asyncio.create_task(manager.restore_session("login"))
        while not drivers():  # noqa: ASYNC110  # there is no event for a process that starts
            await asyncio.sleep(0)
        await manager.close()
        with pytest.raises(SessionException, match=r"this manager (is|was) closed"):
            await task
        assert drivers() == []

    with running_chromium() as chromium:
        asyncio.run(story(chromium))


def test_a_driver_that_was_killed_is_started_again(store):
    async def story(chromium):
        async with SessionManager(store) as manager:
            await saved(manager, chromium)
            page = await manager.restore_session("login")
            (driver,) = drivers()
            os.kill(driver, signal.SIGKILL)
            again = await manager.restore_session("login")
            assert again is not page
            assert await again.title() == ""

    with running_chromium() as chromium:
        asyncio.run(story(chromium))
    assert drivers() == []


def test_the_limit_leaves_room_within_the_promised_five_seconds():
    assert RESTORE_SECONDS < 5

"""A session outlives its script: each script here is a process of its own, and has ended before the next."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.chromium import EXECUTABLE, running_chromium
from support.listeners import free_port
from support.site import serving

ROOT = Path(__file__).parent.parent

PRELUDE = """\
import asyncio, json, sys
from pathlib import Path
from playwright.async_api import async_playwright
from raptor_exporter import SessionException, SessionManager, launch_browser

async def log_in(page):
    await page.goto(SITE)
    await page.evaluate('''() => {
        window.heap = {user: 'ann', visits: [1, 2]};
        localStorage.user = 'ann';
        sessionStorage.step = '2';
        document.cookie = 'id=1';
        document.body.style.height = '5000px';
        window.scrollTo(0, 700);
    }''')

async def look(page):
    print(json.dumps(await page.evaluate('''() => ({
        heap: window.heap,
        local: localStorage.user,
        session: sessionStorage.step,
        cookie: document.cookie,
        scrolled: window.scrollY,
        title: document.title,
    })''')))

async def main():
"""

RESTORE = """
    async with SessionManager() as manager:
        await look(await manager.restore_session('login'))
"""

SAVE_CONNECTED = """
    async with async_playwright() as playwright, SessionManager() as manager:
        browser = await playwright.chromium.connect_over_cdp(URL)
        await browser.contexts[0].new_page()
        page = await browser.contexts[0].new_page()
        await log_in(page)
        await manager.save_session(page, 'login')
"""

ALL_OF_IT = {
    "heap": {"user": "ann", "visits": [1, 2]},
    "local": "ann",
    "session": "2",
    "cookie": "id=1",
    "scrolled": 700,
    "title": "Site",
}


@pytest.fixture
def site():
    with serving("<!doctype html><title>Site</title><body>") as url:
        yield url


@pytest.fixture
def run(tmp_path, site):
    """Run the body of an async function as a script of its own, to its end; gives what it printed."""
    return lambda body, **values: finish(start(tmp_path, site, body, **values))


def start(tmp_path, site, body, **values):
    values = {"SITE": site, "CHROMIUM": EXECUTABLE, **values}
    constants = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "RAPTOR_STORE": str(tmp_path / "store"),
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", f"{constants}{PRELUDE}{body}\nasyncio.run(main())\n"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_a_launched_browser_keeps_everything(run):
    launched = run(
        """
    browser = launch_browser()
    async with SessionManager() as manager:
        page = await manager.open_browser(browser.cdp_url)
        await log_in(page)
        await manager.save_session(page, 'login')
    print(browser.pid)
"""
    )
    try:
        assert json.loads(run(RESTORE)) == ALL_OF_IT
        assert json.loads(run(RESTORE)) == ALL_OF_IT, "a restore changes nothing"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getsid(int(launched)), signal.SIGKILL)


@pytest.mark.parametrize("by", ["websocket", "http"])
@pytest.mark.parametrize("port", ["fixed", "zero"])
def test_a_browser_that_was_connected_to_keeps_everything(run, by, port):
    with running_chromium(port=free_port() if port == "fixed" else 0) as chromium:
        run(SAVE_CONNECTED, URL=chromium.ws_url if by == "websocket" else chromium.http_url)
        assert json.loads(run(RESTORE)) == ALL_OF_IT


def test_a_persistent_context_is_shared_while_its_script_lives_and_gone_with_it(tmp_path, site, run):
    script = start(
        tmp_path,
        site,
        """
    async with async_playwright() as playwright, SessionManager() as manager:
        context = await playwright.chromium.launch_persistent_context(
            str(Path.home() / 'profile'), executable_path=CHROMIUM,
            args=['--no-sandbox', '--remote-debugging-port=0'],
        )
        await log_in(context.pages[0])
        await manager.save_session(context.pages[0], 'login')
        print('saved', flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await context.close()
""",
    )
    try:
        assert script.stdout.readline() == "saved\n"
        assert json.loads(run(RESTORE)) == ALL_OF_IT
    finally:
        finish(script)
    told = run(
        """
    async with SessionManager() as manager:
        try:
            await manager.restore_session('login')
        except SessionException as error:
            print(error.context['problem'], manager.validate_session('login'))
"""
    )
    assert told == "dead True\n"


def test_a_script_that_fails_leaves_no_driver_and_no_warning_behind(run):
    """`-W error` turns what is not closed into an error of the script."""
    with running_chromium() as chromium:
        run(SAVE_CONNECTED, URL=chromium.ws_url)
        out = run(
            """
    try:
        async with SessionManager() as manager:
            await manager.restore_session('login')
            raise KeyError('mine')
    except KeyError:
        children = Path('/proc/self/task').glob('*/children')
        print([c.read_text() for c in children if c.read_text().strip()])
"""
        )
    assert out == "[]\n"

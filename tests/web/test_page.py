"""The status page in a real Chromium: with no, seven and 10,000 sessions, and with hostile names."""

from __future__ import annotations

import json
import re
import time

import pytest
from playwright.sync_api import expect, sync_playwright
from support.agent_view import DAY, HOUR, View, many_sessions, record, seven_sessions, with_records
from support.http_face import ask, host_port, serving
from support.waiting import eventually

from raptor_exporter.cleanup.policy import Rules
from raptor_exporter.config import Config
from raptor_exporter.session import Endpoint
from raptor_exporter.web.view import ConfigState, PolicyState, StoreState

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>document.title='owned'<",
    "'\"><svg onload=alert(2)>",
    "{{ 7 * 7 }}{% raw %}",
    "evil\u202egpj.exe",
    "two\nlines\rand\ttabs\x1b[31m",
    "zero\u200bwidth\u2066isolate",
    "\udcff\udc80undecodable",
    "e" * 250,
    "👩‍💻🔑émoji-日本語-עברית-العربية",
    "&amp;&lt;b&gt;",
    "javascript:alert(3)",
    " ",
    "no\u00a0break\u3164filler",
    "__proto__",
    "constructor",
]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Opens the page of a server; fails afterwards if a script failed or the policy stopped anything."""
    contexts, troubles = [], []

    def note(text):
        # The server of a test ends before its page does.
        if "ERR_CONNECTION" not in text:
            troubles.append(text)

    def open_page(server, path="/", *, expected_troubles=False, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        if not expected_troubles:
            page.on("console", lambda message: note(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
        page.goto(f"http://localhost:{host_port(server)[1]}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


def rows(page):
    return page.locator("#rows tr")


def names(page):
    return page.locator("#rows .name").all_inner_texts()


def drawn(page, total):
    """Wait until the script has brought all sessions."""
    expect(page.locator("[data-count=all]")).to_have_text(total)
    return page


def tick(page):
    """What the timer does every ten seconds, now."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_an_empty_store_says_so(visit):
    with serving(with_records(View(), [])) as server:
        page = drawn(visit(server), "0")
        expect(rows(page)).to_have_text(["The store holds no sessions."])
        expect(page.locator("[data-tile=valid] .figure")).to_have_text("0")
        expect(page.locator("#runs")).to_contain_text("Nothing has run yet.")
        expect(page.locator(".health")).to_have_text("Healthy")


def test_an_agent_that_has_just_started_says_so(visit):
    view = View(ready=False, store_state=StoreState("/home/me/.raptor/sessions", up=False))
    with serving(view) as server:
        page = drawn(visit(server), "0")
        expect(page.locator(".health")).to_have_text("Starting")
        expect(page.locator("[data-tile=valid] .note")).to_have_text("not read yet")


def test_tiles_tell_the_totals(visit):
    with serving(seven_sessions()) as server:
        page = visit(server)
        figures = page.locator(".tile .figure")
        expect(figures).to_have_text(["5", "1", "3", "4.2 KiB", "12", "2"])
        expect(page.locator("[data-tile=invalid] .note")).to_have_text("1 corrupt, 1 unreadable")
        expect(page.locator("[data-tile=endpoints] .note")).to_have_text(
            "reachable, 2 unreachable, 1 unknown"
        )


def test_policies_show_mode_candidates_last_outcome_and_next_run(visit):
    with serving(seven_sessions()) as server:
        policies = visit(server).locator("#policies tr")
        expect(policies.nth(0)).to_contain_text(
            re.compile(r"ci-sessions.*enforce.*3.*2 1\.2 KiB.*success 7m ago.*in 7m", re.DOTALL)
        )
        expect(policies.nth(1)).to_contain_text("max_clock_jump: the clock jumped by 1h")
        expect(policies.nth(2)).to_contain_text(re.compile(r"everything-else.*plan.*not yet", re.DOTALL))


def test_runs_show_what_the_journal_has(visit):
    with serving(seven_sessions()) as server:
        runs = visit(server).locator("#runs tr")
        expect(runs).to_have_count(3)
        expect(runs.nth(1)).to_contain_text(
            re.compile(r"7m ago.*ci-sessions.*success.*3 1\.5 KiB.*1", re.DOTALL)
        )


def test_each_session_shows_its_fate_with_policy_time_and_reason(visit):
    with serving(seven_sessions()) as server:
        page = drawn(visit(server), "7")
        row = rows(page).filter(has_text="nightly-42")
        expect(row).to_contain_text(
            re.compile(r"valid.*chromium.*127\.0\.0\.1:9333.*unreachable.*1d6h.*612 B", re.DOTALL)
        )
        expect(row).to_contain_text(
            re.compile(r"goes.*in 7m.*ci-sessions.*idle 1d6h, more than 1d", re.DOTALL)
        )
        expect(rows(page).filter(has_text="login")).to_contain_text(
            re.compile(r"stays.*everything-else.*expires in 29d23h unless accessed", re.DOTALL)
        )
        expect(rows(page).filter(has_text="locked")).to_contain_text(
            "it can't be read now, so it is never deleted"
        )


def test_the_page_is_whole_without_scripts(visit):
    with serving(many_sessions(300)) as server:
        page = visit(server, java_script_enabled=False)
        expect(rows(page)).to_have_count(100)
        expect(page.locator("#shown")).to_have_text("100 of 300")
        assert "These are the first 100." in ask(server, "/").text
        expect(page.locator("#tools")).to_be_hidden()
        expect(page.locator("#pause")).to_be_hidden()


def test_every_column_sorts_both_ways_and_says_so_to_screen_readers(visit):
    with serving(seven_sessions()) as server:
        page = drawn(visit(server), "7")
        orders = {}
        for sort in ("name", "state", "browser", "endpoint", "idle", "size", "fate"):
            header = page.locator(f"th[data-sort={sort}]")
            header.get_by_role("button").press("Enter")
            expect(header).to_have_attribute("aria-sort", "ascending")
            up = names(page)
            header.get_by_role("button").click()
            expect(header).to_have_attribute("aria-sort", "descending")
            expect(page.locator("th[aria-sort]")).to_have_count(1)
            orders[sort] = up, names(page)
    for up, down in orders.values():
        assert sorted(up) == sorted(down) == sorted(orders["name"][0])
    assert orders["name"][0] == sorted(orders["name"][0])
    assert orders["name"][1] == orders["name"][0][::-1]
    up, down = orders["idle"]
    assert up[:5] == ["login", "checkout-flow", "nightly-42", "nightly-41", "admin-staging"]
    assert down[:5] == up[:5][::-1]
    assert set(up[5:]) == set(down[5:]) == {"half-written", "locked"}  # what isn't known stands last
    assert orders["size"][1][0] == "admin-staging"
    assert set(orders["fate"][0][:3]) == {"nightly-41", "nightly-42", "half-written"}


def test_search_finds_by_any_word_and_tells_how_many(visit):
    with serving(seven_sessions()) as server:
        page = drawn(visit(server), "7")
        search = page.get_by_role("searchbox")
        for query, found in [
            ("nightly", {"nightly-41", "nightly-42"}),
            ("CI-sessions 9222", {"checkout-flow"}),
            ("corrupt", {"half-written"}),
            ("env=ci", {"nightly-41", "nightly-42", "checkout-flow"}),
            ("unreachable", {"nightly-41", "nightly-42"}),
        ]:
            search.fill(query)
            eventually(lambda found=found: set(names(page)) == found)
            expect(page.get_by_role("status")).to_have_text(f"{len(found)} of 7")
        search.fill("no such thing")
        expect(rows(page)).to_have_text(["No session fits."])
        expect(page.get_by_role("status")).to_have_text("0 of 7")
        search.fill("")
        expect(rows(page)).to_have_count(7)


def test_filters_show_their_counts_and_their_sessions(visit):
    with serving(seven_sessions()) as server:
        page = drawn(visit(server), "7")
        for label, expected in [
            ("Going next", 3),
            ("Would go", 0),
            ("Invalid", 1),
            ("Unreadable", 1),
            ("Unreachable", 2),
            ("All", 7),
        ]:
            page.get_by_role("radio", name=label).check(force=True)
            expect(rows(page).filter(has_not=page.locator(".none"))).to_have_count(expected)


def test_ten_thousand_sessions_are_searched_sorted_and_paged(visit):
    with serving(many_sessions(10_000)) as server:
        page = drawn(visit(server), "10,000")
        expect(rows(page)).to_have_count(100)
        page.locator("th[data-sort=name] button").click()
        expect(page.locator("#page")).to_have_text(re.compile(r"^1.100 of 10,000$"))
        assert names(page)[0] == "admin-staging"
        page.get_by_role("button", name="Next").click()
        expect(page.locator("#page")).to_have_text(re.compile(r"^101.200 of 10,000$"))
        assert names(page)[0] == "load-00097"
        page.get_by_role("searchbox").fill("load-0999")
        expect(page.locator("#shown")).to_have_text("3 of 10,000")
        assert names(page) == ["load-09990", "load-09991", "load-09992"]
        expect(page.locator("#pager")).to_be_hidden()
        busy = page.evaluate(
            """() => { const start = performance.now(); sortBy('fate', 'descending');
                       sortBy('name', 'ascending'); return performance.now() - start; }"""
        )
        assert busy < 5_000


def test_a_refresh_shows_what_is_new_and_keeps_ones_place(visit):
    view = many_sessions(2_000)
    with serving(view) as server:
        page = drawn(visit(server, viewport={"width": 1200, "height": 700}), "2,000")
        page.locator("th[data-sort=size] button").click()
        search = page.get_by_role("searchbox")
        search.fill("load")
        expect(page.locator("#shown")).to_have_text("1,993 of 2,000")
        page.get_by_role("button", name="Next").click()
        search.focus()
        page.evaluate("window.scrollTo(0, 1500)")
        before = page.evaluate("scrollY")
        first = names(page)[0]
        with_records(
            view, [*view.snapshot.records.values(), record("load-new", size=999_999)], probes=view.probes
        )
        tick(page)
        expect(page.locator("[data-count=all]")).to_have_text("2,001")
        expect(page.locator("#shown")).to_have_text("1,994 of 2,001")
        assert page.evaluate("scrollY") == before
        assert names(page)[0] == first
        expect(search).to_have_value("load")
        expect(search).to_be_focused()
        expect(page.locator("th[data-sort=size]")).to_have_attribute("aria-sort", "ascending")
        expect(page.locator("#page")).to_have_text(re.compile(r"^101.200 of 1,994$"))
        page.reload()
        expect(page.locator("#page")).to_have_text(re.compile(r"^101.200 of 1,994$"))
        expect(page.get_by_role("searchbox")).to_have_value("load")


def test_a_refresh_shows_new_troubles_and_their_end(visit):
    view = seven_sessions()
    with serving(view) as server:
        page = drawn(visit(server), "7")
        view.store_state = StoreState(
            "/home/me/.raptor/sessions", up=False, error="permission denied: <b>/x</b>"
        )
        view.config_state = ConfigState(
            "/etc/raptor/raptor.yaml", time.time(), ("raptor.yaml:3:1: cap: is text",)
        )
        view.policy_states = {**view.policy_states, "ci-sessions": PolicyState(running=True)}
        tick(page)
        expect(page.locator(".health")).to_have_text("Store down")
        expect(page.locator("#messages")).to_contain_text(
            "The store can't be read. permission denied: <b>/x</b>"
        )
        expect(page.locator("#messages")).to_contain_text("raptor.yaml:3:1: cap: is text")
        expect(page.locator("#policies")).to_contain_text("running")
        view.store_state = StoreState("/home/me/.raptor/sessions", up=True)
        view.config_state = ConfigState("/etc/raptor/raptor.yaml", time.time())
        tick(page)
        expect(page.locator("#messages")).to_be_empty()


def test_a_paused_page_stands_still(visit):
    view = seven_sessions()
    with serving(view) as server:
        page = drawn(visit(server), "7")
        pause = page.get_by_role("button", name="Pause")
        pause.click()
        expect(pause).to_have_attribute("aria-pressed", "true")
        with_records(view, [record("only")])
        tick(page)
        expect(rows(page)).to_have_count(7)
        pause.click()
        expect(rows(page)).to_have_count(1)


def test_an_agent_that_is_gone_is_told_and_what_was_there_stays(visit):
    with serving(seven_sessions()) as server:
        page = drawn(visit(server, expected_troubles=True), "7")
    tick(page)
    expect(page.get_by_role("alert")).to_contain_text("The agent does not answer")
    expect(rows(page)).to_have_count(7)


def test_hostile_names_are_text_and_nothing_more(visit):
    view = View(config=Config(rules=Rules()))
    endpoint = Endpoint("ws", "<b>host</b>", 1, "/secret")
    metadata = {"<i>key</i>": "<script>alert(4)</script>", "page_url": "javascript:alert(5)"}
    with_records(view, [record(name, endpoint=endpoint, metadata=metadata) for name in HOSTILE])
    with serving(view) as server:
        for scripts in (True, False):
            page = visit(server, java_script_enabled=scripts)
            if scripts:
                drawn(page, str(len(HOSTILE)))
            expect(rows(page)).to_have_count(len(HOSTILE))
            assert page.locator("#rows img, #rows script, #rows svg, #rows b, #rows i").count() == 0
            shown = names(page)
            assert "<img src=x onerror=alert(1)>" in shown
            assert "{{ 7 * 7 }}{% raw %}" in shown
            assert "&amp;&lt;b&gt;" in shown
            assert r"evil\u202egpj.exe" in shown
            assert r"\u0020" in shown
            assert r"no\u00a0break\u3164filler" in shown
            assert r"two\u000alines\u000dand\u0009tabs\u001b[31m" in shown
            assert r"zero\u200bwidth\u2066isolate" in shown
            assert r"\udcff\udc80undecodable" in shown
            assert any(name.startswith("👩") for name in shown)
            assert page.title() == "raptor-exporter"
            # Not even the longest name makes the page wider than its window.
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_comes_from_elsewhere_and_foreign_scripts_do_not_run(visit):
    with serving(seven_sessions()) as server:
        page = visit(server, expected_troubles=True)
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.reload()
        drawn(page, "7")
        origin = f"http://localhost:{host_port(server)[1]}/"
        assert {url.startswith(origin) for url in requests} == {True}
        page.evaluate("""() => {
            const script = document.createElement('script');
            script.textContent = 'document.title = "owned"';
            document.body.append(script);
            document.body.insertAdjacentHTML('beforeend', '<p id=styled style="color: red">x</p>');
        }""")
        assert page.title() == "raptor-exporter"
        assert page.evaluate("getComputedStyle(document.getElementById('styled')).color") != "rgb(255, 0, 0)"


def test_a_foreign_name_for_this_machine_gets_nothing(browser):
    # What DNS rebinding does: the page's own name leads here.
    with serving(seven_sessions()) as server:
        context = browser.new_context()
        page = context.new_page()
        answer = page.goto(f"http://evil.localhost:{host_port(server)[1]}/")
        assert answer.status == 403
        context.close()


def test_without_leave_to_see_names_the_page_has_totals_and_policies(visit):
    with serving(seven_sessions(), "0.0.0.0:0") as server:
        page = visit(server)
        expect(page.locator("#sessions")).to_contain_text("Names are hidden here.")
        expect(page.locator(".tile .figure")).to_have_text(["5", "1", "3", "4.2 KiB", "12", "2"])
        expect(page.locator("#policies tr")).to_have_count(3)
        assert "nightly-42" not in page.content()
        tick(page)
        expect(page.locator("#connection")).to_be_hidden()
        text = ask(server, "/").text
        for hidden in ("/home/me", "/etc/raptor", "127.0.0.1:9222", "max_clock_jump: the clock"):
            assert hidden not in text


CONTRAST = """() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [x, y, z] = [r, g, b].map((v) => linear(v / 255));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest(':disabled')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.textContent.trim()}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_a_contrast_of_at_least_4_5(visit, scheme):
    view = seven_sessions()
    view.store_state = StoreState("/x", up=False, error="it is gone")
    view.config_state = ConfigState("/y", time.time(), ("z",))
    with serving(view) as server:
        page = drawn(visit(server, color_scheme=scheme), "7")
        assert page.evaluate(CONTRAST) == []
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(13, 17, 23)") == (scheme == "dark")


def test_a_phone_shows_everything_without_scrolling_sideways(visit):
    with serving(seven_sessions()) as server:
        phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
        page = drawn(visit(server, **phone), "7")
        assert page.evaluate("document.documentElement.scrollWidth <= 360")
        expect(rows(page).filter(has_text="nightly-42")).to_contain_text("idle 1d6h, more than 1d")
        page.get_by_label("Sort by").select_option("size descending")
        assert names(page)[0] == "admin-staging"


def test_screen_readers_find_landmarks_tables_and_names(visit):
    with serving(seven_sessions()) as server:
        for width in (1280, 360):
            page = drawn(visit(server, viewport={"width": width, "height": 900}), "7")
            expect(page.get_by_role("main")).to_have_count(1)
            for title in ("Policies", "Last runs", "Sessions", "Agent"):
                expect(page.get_by_role("heading", name=title, exact=True)).to_have_count(1)
            table = page.get_by_role("table", name="Sessions")
            expect(table.get_by_role("row")).to_have_count(8)
            expect(table.get_by_role("columnheader")).to_have_count(7)
            expect(table.get_by_role("rowheader", name="nightly-42")).to_have_count(1)
            expect(page.get_by_role("searchbox", name="Search sessions")).to_be_visible()
            expect(page.get_by_role("group", name="Show")).to_have_count(1)
            assert page.evaluate(
                "[...document.querySelectorAll('button')].every((b) => b.textContent.trim())"
            )
            assert page.locator("html").get_attribute("lang") == "en"


def test_the_keyboard_reaches_search_sorting_and_pages(visit):
    with serving(many_sessions(300)) as server:
        page = drawn(visit(server), "300")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to sessions")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#sessions")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("searchbox")).to_be_focused()


def test_the_page_shows_no_part_of_a_cdp_url_beyond_its_address():
    view = View()
    endpoint = Endpoint("wss", "browsers.example", 443, "/secret/devtools/browser/secret")
    metadata = {"page_url": "https://secret:secret@shop.example/?secret#secret", "note": "ws://h:1/secret"}
    with_records(
        view, [record("login", idle=HOUR, endpoint=endpoint, metadata=metadata), record("b", idle=40 * DAY)]
    )
    with serving(view) as server:
        for path in ("/", "/metrics", "/api/v1/status", "/api/v1/sessions", "/api/v1/plan"):
            assert "secret" not in ask(server, path).text
        session = next(
            s for s in json.loads(ask(server, "/api/v1/sessions").body)["sessions"] if s["name"] == "login"
        )
    assert session["address"] == "browsers.example:443"
    assert session["metadata"] == {"page_url": "https://shop.example/", "note": "ws://h:1/…"}

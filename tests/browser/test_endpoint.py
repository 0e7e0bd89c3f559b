"""Where a browser listens, read from its command line."""

import pytest

from raptor_exporter.browser.endpoint import (
    BrowserProblem,
    Flags,
    at_address,
    check_url,
    flags_in_arguments,
    flags_in_text,
)
from raptor_exporter.session import parse_endpoint


@pytest.mark.parametrize(
    ("command_line", "flags"),
    [
        ("chromium --headless about:blank", Flags(None, None)),
        ("chromium --remote-debugging-port=9222", Flags("9222", None)),
        ("chromium --remote-debugging-port=0 --user-data-dir=/tmp/p about:blank", Flags("0", "/tmp/p")),
        ("chromium --user-data-dir=/home/a b/My Profile --x=1", Flags(None, "/home/a b/My Profile")),
        ("chromium --user-data-dir=/a b about:blank", Flags(None, "/a b")),
        ("chromium --user-data-dir=/a b http://h/", Flags(None, "/a b")),
        ("chromium --user-data-dir=/last", Flags(None, "/last")),
        ("c --remote-debugging-port=1 --remote-debugging-port=2", Flags("2", None)),
        ("c --remote-debugging-port= --user-data-dir=/p", Flags("", "/p")),
        ("c --not-remote-debugging-port=9222 --remote-debugging-pipe", Flags(None, None)),
    ],
)
def test_flags_are_found_in_a_command_line_that_quotes_nothing(command_line, flags):
    assert flags_in_text(command_line) == flags


def test_of_repeated_arguments_the_last_counts():
    arguments = ["c", "--user-data-dir=/a", "--remote-debugging-port=1", "--user-data-dir=/b c", ""]
    assert flags_in_arguments(arguments) == Flags("1", "/b c")


@pytest.mark.parametrize(
    ("url", "address", "expected"),
    [
        ("ws://localhost:9222/devtools/browser/x", "::1", "ws://[::1]:9222/devtools/browser/x"),
        ("ws://u:p@svc/x?host=svc#svc", "10.0.0.1", "ws://u:p@10.0.0.1:80/x?host=svc#svc"),
        ("http://localhost:1?a", "127.0.0.1", "http://127.0.0.1:1?a"),
    ],
)
def test_a_name_is_replaced_by_its_address_and_nothing_else(url, address, expected):
    assert at_address(url, parse_endpoint(url), address) == expected


@pytest.mark.parametrize(
    "url", ["ws://h/devtools/browser/x", "wss://u:p@h:1/x?token=t", "http://[::1]:9222", "HTTPS://h"]
)
def test_a_browsers_url_is_taken_as_it_is(url):
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url", ["", "chrome", "localhost:9222", "ftp://h", "ws://", "ws://h/a b", "ws://h/\n", "ws://h/\ud800", 5]
)
def test_anything_else_is_refused_without_being_repeated(url):
    with pytest.raises(BrowserProblem, match="cdp_url is not a ws, wss, http or https URL with a host"):
        check_url(url)

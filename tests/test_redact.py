from __future__ import annotations

import json

import pytest

from raptor_exporter.redact import redact, redact_metadata, redact_page_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing to hide", "nothing to hide"),
        ("ws://127.0.0.1:9222/devtools/browser/secret", "ws://127.0.0.1:9222/…"),
        ("wss://secret:secret@host.example:443/secret?secret#secret", "wss://host.example:443/…"),
        ("wss://host.example?token=secret", "wss://host.example/…"),
        ("http://[::1]:9222/json/version", "http://[::1]:9222/…"),
        ("https://host.example", "https://host.example"),
        ("https://host.example/", "https://host.example/"),
        ("https://secret@host.example", "https://host.example/…"),
        ("ws://us@er:secret@host:1/secret", "ws://host:1/…"),
        ("WS://HOST:1/SECRET", "WS://HOST:1/…"),
        ("connect to 'ws://h:1/secret' failed.", "connect to 'ws://h:1/…' failed."),
        ("(see ws://h:1/secret), then", "(see ws://h:1/…), then"),
        ('{"cdp_url": "ws://h:1/secret"}', '{"cdp_url": "ws://h:1/…"}'),
        (r"ws:\/\/h:1\/secret", "ws://h:1/…"),
        ("ws%3A%2F%2Fh%3A1%2Fdevtools%2Fbrowser%2Fsecret", "ws://…"),
        ("a ws://h:1/secret and ws://i:2/secret", "a ws://h:1/… and ws://i:2/…"),
        ("ws://h:1/secret'secret\"secret", "ws://h:1/…"),
        ("GET /devtools/browser/secret HTTP/1.1", "GET /devtools/browser/… HTTP/1.1"),
        ("GET /devtools/page/secret?secret", "GET /devtools/page/…"),
        ("blob:https://host/secret", "blob:https://host/…"),
        ("ws://<secret>:1/", "ws://…"),
        ("ftp://secret:secret@host/secret", "ftp://host/…"),
    ],
)
def test_of_every_url_in_a_text_only_scheme_host_and_port_are_left(text, shown):
    assert redact(text) == shown


def test_redacting_twice_changes_nothing_more():
    once = redact("ws://user:secret@h:1/devtools/browser/secret?secret (ws://h:2/)")
    assert redact(once) == once


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "https://secret:secret@shop.example:8443/cart/7?secret=1#secret",
            "https://shop.example:8443/cart/7",
        ),
        ("https://shop.example", "https://shop.example"),
        ("about:blank", "about:blank"),
        ("about:blank#secret", "about:blank"),
        ("file:///home/me/page.html?secret", "file:///home/me/page.html"),
        ("chrome://settings/#secret", "chrome://settings/"),
        ("data:text/html,secret", "data:…"),
        ("javascript:secret", "javascript:…"),
        ("blob:https://host/secret", "blob:…"),
        ("ws://h:1/devtools/browser/secret", "ws://h:1/…"),
        ("http://h:1/devtools/browser/secret", "http://h:1/devtools/browser/…"),
        ("https://<secret>/x", "https://…"),
        ("no url at all", "no url at all"),
        ("https://h/p?q=a b&token=secret", "https://h/p"),
        ("https://h/p secret", "https://h/p"),
        (" https://h/p?secret", "https://h/p"),
        ("ws://h:1/devtools/x secret", "ws://h:1/…"),
        ("h.com/p?q=secret#secret", "h.com/p"),
        ("//u:secret@h/p?secret", "h/p"),
        ("https:u:secret@h/p", "https:…"),
        ("?secret", ""),
        ("https://host/a\nhttps://secret@h/?secret", "https://host/a\nhttps:/"),
    ],
)
def test_a_page_url_is_shown_without_user_query_and_fragment(url, shown):
    assert "secret" not in redact_page_url(url)
    if "\n" not in url:
        assert redact_page_url(url) == shown


def test_metadata_is_shown_with_every_url_in_it_redacted_however_deep():
    metadata = {
        "env": "ci",
        "runs": 5,
        "page_url": "https://secret@shop.example/cart?secret#secret",
        "nested": {"list": ["ws://h:1/secret", {"ws://h:2/secret": True}]},
        "note": "see https://secret:secret@h/secret?secret",
    }
    shown = redact_metadata(metadata)
    assert "secret" not in json.dumps(shown)
    assert shown["env"] == "ci"
    assert shown["runs"] == 5
    assert shown["page_url"] == "https://shop.example/cart"


def test_metadata_that_nests_without_end_is_shown_down_to_a_level():
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    shown = redact_metadata({"k": deep, "l": "x"})
    assert shown["l"] == "x"
    assert json.dumps(shown["k"], ensure_ascii=False).strip("[]") == '"…"'

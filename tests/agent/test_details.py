"""Whole metadata is read beside the snapshot, and a store that hangs holds nobody up for long."""

from __future__ import annotations

import threading

from support.sessions import write_session

from raptor_exporter.agent.details import Details


def test_what_can_be_read_is_and_the_rest_is_left_out(store):
    write_session(store, "a", metadata={"n": 5, "deep": {"x": [1]}})
    write_session(store, "no-object", metadata=[1])
    write_session(store, "corrupt", data="{")
    write_session(store, "large", metadata={"x": "y" * 70_000})
    write_session(store, "unreadable", data=b" " * (1 << 21))
    names = ["a", "corrupt", "gone", "large", "no-object", "unreadable"]
    assert Details(store.read).metadata(names) == {"a": {"n": 5, "deep": {"x": [1]}}}


def test_a_store_that_hangs_is_waited_for_once():
    calls, released = [], threading.Event()

    def read(name):
        calls.append(name)
        released.wait(60)
        return b'{"metadata": {"k": "v"}}'

    details = Details(read)
    assert details.metadata(["a"]) == {}
    assert details.metadata(["a"]) == {}
    assert calls == ["a"]
    released.set()
    for thread in threading.enumerate():
        if thread.name == "details":
            thread.join(60)
    assert details.metadata(["a"]) == {"a": {"k": "v"}}

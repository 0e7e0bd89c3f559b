"""The configuration file as users write it: what is taken, and where and how what is wrong is told."""

from __future__ import annotations

import json
import re

import pytest

POLICY = "  - {name: p, interval: 1h, expire: {idle_for: 1d}}\n"


def policy(rest: str, head: str = "version: 1\n") -> str:
    return f"{head}policies:\n  - {{name: p, interval: 1h, {rest}}}\n"


def also(rest: str) -> str:
    return policy("expire: {idle_for: 1d}, " + rest)


PROBED = "version: 1\nprobe: {}\n"

GOOD = [
    "version: 1\n",
    '{"version": 1}',
    "version: 1\npolicies: []\n",
    "version: 1\npolicies:\n" + POLICY,
    "version: 1\nstore: {url: /tmp, refresh_interval: 1s, timezone: UTC}\n",
    "version: 1\nstore: {url: 'file:///tmp'}\n",
    PROBED,
    "version: 1\nprobe: {interval: 1m, timeout: 2s, concurrency: 50, allowed_hosts: [localhost, '::1']}\n",
    "version: 1\nprobe: {allowed_hosts: []}\n",
    "version: 1\ncleanup: {mode: plan, protect: []}\n",
    "version: 1\ncleanup: {trash: none}\n",
    "version: 1\ncleanup: {trash: {retain: 0s, max_bytes: none}}\n",
    "version: 1\ncleanup: {trash: {retain: 7d, max_bytes: 100MiB}}\n",
    "version: 1\ncleanup: {guards: {max_delete_ratio: 0, max_clock_jump: 0s, min_age: 0s}}\n",
    "version: 1\ncleanup: {guards: {max_delete_ratio: 1}}\n",
    PROBED + "cleanup: {protect: [{endpoint: reachable}, {metadata: {a: [b, 'c*']}}, {state: any}]}\n",
    *(
        also(rest)
        for rest in ("match: {}", "match: {name: [a, 'b*']}", "match: {state: any}", "mode: enforce")
    ),
    *(also(rest) for rest in ("keep: {last: 3}", "keep: {last: 3, per: metadata.a.b}", "cap: {sessions: 1}")),
    *(also(f"match: {{browser_type: {form}}}") for form in ("chromium", "[firefox, webkit]")),
    also("match: {exclude: {state: invalid}}"),
    also("guards: {max_delete_ratio: 0.1, max_clock_jump: 1m, min_age: 1s}"),
    *(policy(f"expire: {{{key}: 2w}}") for key in ("idle_for", "older_than", "unmodified_for")),
    policy("expire: {unreachable_for: 1m}", PROBED),
    policy("expire: {idle_for: 1d}, match: {endpoint: unknown}", PROBED),
    *(policy(f"expire: {{idle_for: {text}}}") for text in ("500ms", "1h30m", "1d12h", "1y2w3d4h5m6s7ms")),
    *(
        policy(f"cap: {{bytes: {text}}}")
        for text in (100, "512Ki", "50MiB", "1G", "1GB", "1.5Gi", "1k", "1e3")
    ),
    *(f"version: 1\ncleanup: {{trash: {{max_bytes: {text}}}}}\n" for text in ("1Ti", "2Pi", "1Ei", "7EiB")),
]


@pytest.mark.parametrize("text", GOOD)
def test_every_accepted_form_is_taken(command, tmp_path, text):
    file = tmp_path / "raptor.yaml"
    file.write_text(text)
    done = command("policy", "check", file)
    assert (done.status, done.err) == (0, "")


BAD = {
    "": [(1, 1, "version")],
    "\n# nothing\n": [(1, 1, "version")],
    "version: 2\n": [(1, 10, "version")],
    "version: true\n": [(1, 10, "version")],
    "store: {}\n": [(1, 1, "version")],
    "version: 1\nversion: 1\n": [(2, 1, "version")],
    "version: 1\nfoo: 1\nbar: 2\n": [(2, 1, "foo"), (3, 1, "bar")],
    "version: 1\nstore: 5\n": [(2, 8, "store")],
    "version: 1\nstore: {refresh_interval: 0s, timezone: Nowhere}\n": [
        (2, 27, "store.refresh_interval"),
        (2, 41, "store.timezone"),
    ],
    "version: 1\nprobe: {interval: 0s, timeout: 0s, concurrency: 0}\n": [
        (2, 19, "probe.interval"),
        (2, 32, "probe.timeout"),
        (2, 49, "probe.concurrency"),
    ],
    "version: 1\ncleanup: {mode: Enforce, trash: nope}\n": [
        (2, 17, "cleanup.mode"),
        (2, 33, "cleanup.trash"),
    ],
    "version: 1\ncleanup: {trash: {retain: 1, max_bytes: lots}}\n": [
        (2, 27, "cleanup.trash.retain"),
        (2, 41, "cleanup.trash.max_bytes"),
    ],
    "version: 1\ncleanup: {guards: {max_delete_ratio: 1.01}}\n": [(2, 38, "cleanup.guards.max_delete_ratio")],
    "version: 1\ncleanup: {protect: [{foo: a}, a]}\n": [
        (2, 22, "cleanup.protect[0].foo"),
        (2, 31, "cleanup.protect[1]"),
    ],
    "version: 1\ncleanup: {protect: [{endpoint: reachable}]}\n": [(2, None, "cleanup.protect[0].endpoint")],
    "version: 1\npolicies: {}\n": [(2, 11, "policies")],
    "version: 1\npolicies:\n  - name: p\n": [(3, 5, "policies[0].interval"), (3, 5, "policies[0].expire")],
    "version: 1\npolicies:\n  - {name: 'a b', interval: 0s, cap: {sessions: -1}}\n": [
        (3, 12, "policies[0].name"),
        (3, 29, "policies[0].interval"),
        (3, 49, "policies[0].cap.sessions"),
    ],
    "version: 1\npolicies:\n  - {interval: 1h, keep: {last: 3}}\n": [
        (3, 5, "policies[0].name"),
        (3, 5, "policies[0].expire"),
    ],
    "version: 1\npolicies:\n" + POLICY * 2: [(4, None, "policies[1].name")],
    policy("expire: {idle_for: 1h, idle_for: 2h}"): [(3, 52, "policies[0].expire.idle_for")],
    policy("expire: {unreachable_for: 1h}"): [(3, None, "policies[0].expire.unreachable_for")],
    also("match: {endpoint: unknown}"): [(3, None, "policies[0].match.endpoint")],
    also("match: {exclude: {endpoint: unknown}}"): [(3, None, "policies[0].match.exclude.endpoint")],
    also("match: {browser_type: [chrome, firefox, opera]}"): [
        (3, 76, "policies[0].match.browser_type[0]"),
        (3, 93, "policies[0].match.browser_type[2]"),
    ],
    also("match: {state: bad}, mode: dry"): [(3, 68, "policies[0].match.state"), (3, 80, "policies[0].mode")],
}


@pytest.mark.parametrize("text", BAD)
def test_each_mistake_is_told_at_its_place_and_all_at_once(command, tmp_path, text):
    file = tmp_path / "raptor.yaml"
    file.write_text(text)
    done = command("policy", "check", file)
    assert (done.status, done.out) == (2, "")
    form = re.compile(re.escape(str(file)) + r":(\d+):(\d+): ([^ ]+): \S.*, accepted is \S.*")
    told = [form.fullmatch(line) for line in done.err.splitlines()]
    assert all(told), done.err
    found = [(int(line[1]), int(line[2]), line[3]) for line in told]
    wanted = [
        (row, found[index][1] if column is None and index < len(found) else column, path)
        for index, (row, column, path) in enumerate(BAD[text])
    ]
    assert found == wanted


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--web.listen-address", "127.0.0.1:0"),
        ("session", "list"),
        ("cleanup", "run", "--yes"),
        ("cleanup", "expired"),
        ("policy", "plan"),
        ("policy", "explain", "x"),
        ("trash", "list"),
        ("stats",),
        ("metrics",),
    ],
    ids=" ".join,
)
def test_every_command_refuses_a_bad_file_with_all_its_mistakes(command, store_dir, tmp_path, arguments):
    file = tmp_path / "raptor.yaml"
    file.write_text("version: 1\nfoo: 1\nbar: 2\n")
    done = command(*arguments, "--store", store_dir, "--config", file)
    assert (done.status, done.out, done.err.count(f"{file}:")) == (2, "", 2)


def test_the_file_is_named_by_option_then_variable(command, tmp_path, monkeypatch):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(json.dumps({"version": 1}))
    bad.write_text("version: 2")
    monkeypatch.setenv("RAPTOR_CONFIG", str(bad))
    assert command("policy", "check").status == 2
    assert command("policy", "check", "--config", good).status == 0
    assert command("policy", "check", tmp_path / "none.yaml").status == 2


def test_without_a_file_two_built_in_policies_only_plan(command, store_dir):
    plan = command("policy", "plan", "--store", store_dir, "-o", "json").json
    assert [(p["name"], p["mode"]) for p in plan["policies"]] == [("expired", "plan"), ("invalid", "plan")]

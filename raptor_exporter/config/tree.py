"""The configuration file, key by key: the one table behind the checker, the JSON Schema and the documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raptor_exporter.cleanup.policy import Cap, EndpointState, Expire, Globs, Keep, Match, Mode, TrashRules
from raptor_exporter.config.model import DEFAULT_STORE, ProbeConfig, StoreConfig
from raptor_exporter.config.scalars import Duration, Location, Number, Ratio, Size, Text, Word, Zone
from raptor_exporter.config.shapes import Either, Fields, Items, Key, Probing, Table
from raptor_exporter.session import BROWSER_TYPES
from raptor_exporter.units import SIZE_FORM

VERSION = 1

GLOB = Text("text with or without *, ? and [ab]")
GLOBS = Items(
    GLOB,
    "a glob such as ci-*, or a list of at least one",
    single=True,
    accepted_empty=False,
    build=lambda patterns: Globs(tuple(patterns)),
)
BROWSERS = Items(
    Word(BROWSER_TYPES),
    "chromium, firefox or webkit, or a list of at least one of them",
    single=True,
    accepted_empty=False,
    build=frozenset,
)
METADATA = Table(GLOBS, "a mapping of metadata keys to globs, at least one")

STATE = Word(("valid", "invalid", "any"))
MATCHING = {
    "name": Key(
        GLOBS, "Name of the session (the stem of its file): one case-sensitive glob or a list of them."
    ),
    "browser_type": Key(BROWSERS, "Browser of the session: one or a list of them."),
    "metadata": Key(
        METADATA, "Metadata by key: one glob or a list each; all keys must fit. Compared as text."
    ),
    "state": Key(STATE, "State of the session's file; in exclude the default is any.", default="valid"),
    "endpoint": Key(
        Probing(Word(tuple(EndpointState), EndpointState)),
        "What the last probe said of its browser. Needs probe.",
    ),
}
PROTECTED = Fields(MATCHING, lambda v: Match(**v))
EXCLUDED = Fields(
    {**MATCHING, "state": Key(STATE, "State of the session's file.", default="any")},
    lambda v: Match(**{"state": "any", **v}),
    accepted_empty=False,
)
MATCH = Fields(
    {**MATCHING, "exclude": Key(EXCLUDED, "Sessions that fit this are left to the policies below.")},
    lambda v: Match(**v),
)

LIMIT = Duration()
EXPIRE = Fields(
    {
        "idle_for": Key(LIMIT, "Expires this long after the last access."),
        "older_than": Key(LIMIT, "Expires this long after it was created."),
        "unmodified_for": Key(LIMIT, "Expires this long after the last change of its file."),
        "unreachable_for": Key(
            Probing(LIMIT), "Expires this long after the first failed probe in a row. Needs probe."
        ),
    },
    lambda v: Expire(**v),
    accepted_empty=False,
)
CAP = Fields(
    {
        "sessions": Key(Number("a whole number of sessions, 0 or more", 0), "How many sessions may be left."),
        "bytes": Key(Size(), "How many bytes of session files may be left."),
    },
    lambda v: Cap(**v),
    accepted_empty=False,
)
KEEP = Fields(
    {
        "last": Key(
            Number("a whole number of sessions, 0 or more", 0),
            "So many stay, the last accessed first.",
            required=True,
        ),
        "per": Key(
            Text(
                "metadata. and a metadata key, such as metadata.repo",
                r"metadata\.[^\n]+",
                lambda text: text.removeprefix("metadata."),
            ),
            "Counts in each group of sessions with the same value of this metadata key.",
        ),
    },
    lambda v: Keep(**v),
)

MODE = Word(tuple(Mode), Mode)
GUARDS = Fields(
    {
        "max_delete_ratio": Key(
            Ratio(),
            "A run is refused that would delete a greater share of the store, and more than 10 sessions.",
            default=0.5,
        ),
        "max_clock_jump": Key(
            Duration(off="switches the guard off"),
            "After the clock jumped further, runs are refused until it was steady this long.",
            default="10m",
        ),
        "min_age": Key(
            Duration(off="switches the guard off"),
            "A session whose file changed this recently is spared.",
            default="60s",
        ),
    }
)
POLICY = Fields(
    {
        "name": Key(
            Text("letters, digits, '.', '-' and '_'", r"[A-Za-z0-9._-]+"),
            "Its name in metrics and the journal.",
            required=True,
        ),
        "interval": Key(Duration(), "Time between two runs, ±10 %.", required=True),
        "match": Key(
            MATCH, "Which sessions the policy owns: the first policy that fits. Without: every valid one."
        ),
        "expire": Key(EXPIRE, "When an owned session goes: any one limit is enough."),
        "cap": Key(CAP, "How much may be left; the least recently accessed go first."),
        "keep": Key(KEEP, "What stays although it expired or is over the cap."),
        "mode": Key(MODE, "plan decides and reports, enforce deletes. Without: that of cleanup."),
        "guards": Key(GUARDS, "What stops a run; keys that are left out are those of cleanup."),
    },
    any_of=("expire", "cap"),
)

STORE = Fields(
    {
        "url": Key(Location(), "Directory of the session files.", default=DEFAULT_STORE),
        "refresh_interval": Key(Duration(), "Time between two looks at the store.", default="30s"),
        "timezone": Key(Zone(), "Zone of timestamps that name none. Without: that of the machine."),
    },
    lambda v: StoreConfig(**v),
)
PROBE = Fields(
    {
        "interval": Key(Duration(), "Time between two probes of all endpoints.", default="1m"),
        "timeout": Key(Duration(), "How long an endpoint may take to answer.", default="2s"),
        "concurrency": Key(
            Number("a whole number from 1 to 10000", 1, 10_000), "Endpoints asked at once.", default=50
        ),
        "allowed_hosts": Key(
            Items(
                Text(
                    "a host as it is written in the URL, without port, such as localhost, 127.0.0.1 or ::1",
                    r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._~-]+)?\]?",
                    lambda host: host.strip("[]").lower(),
                ),
                "a list of hosts",
            ),
            "Hosts that may be contacted, as they are written in the URL.",
            default=["localhost", "127.0.0.1", "::1"],
        ),
    },
    lambda v: ProbeConfig(**v),
)
TRASH_SIZE = Size(f"{SIZE_FORM}, more than 0 (trash: none keeps nothing), or none for no limit", 1, none=True)
CLEANUP = Fields(
    {
        "mode": Key(MODE, "plan decides and reports, enforce deletes.", default="plan"),
        "trash": Key(
            Either(
                "none",
                TrashRules(retain=0.0),
                Fields(
                    {
                        "retain": Key(
                            Duration(off="empties it by the next run"),
                            "How long what was deleted can come back.",
                            default="7d",
                        ),
                        "max_bytes": Key(
                            TRASH_SIZE,
                            "What the trash may hold; the oldest goes first. Without or none: no limit.",
                        ),
                    },
                    lambda v: TrashRules(**v),
                ),
            ),
            "Where deleted sessions go; none: gone for good by the next run.",
        ),
        "guards": Key(GUARDS, "What stops a run that looks wrong."),
        "protect": Key(
            Items(PROTECTED, "a list of matches"), "Sessions that no policy takes: any one entry is enough."
        ),
    }
)


def root(build: Callable[[dict[str, Any]], object]) -> Fields:
    """The whole file, built by the given function of its values."""
    return Fields(
        {
            "version": Key(
                Number(f"the number {VERSION}", VERSION, VERSION),
                "Version of this file's format.",
                required=True,
            ),
            "store": Key(STORE, "Where the sessions are."),
            "probe": Key(
                PROBE, "How browsers are asked whether they are there. Without: they are not contacted."
            ),
            "cleanup": Key(CLEANUP, "What holds for all policies."),
            "policies": Key(
                Items(POLICY, "a list of policies", unique="name"),
                "Cleanup policies; the first that fits owns a session.",
            ),
        },
        build,
    )

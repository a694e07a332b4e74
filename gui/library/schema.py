"""The tables of the user's database, as numbered migrations: ``MIGRATIONS[n]`` leads from schema n to n + 1.

A migration that has been released is never edited: databases that passed it exist. Add the next one instead.
"""

from __future__ import annotations

Migration = tuple[str, ...]

MIGRATIONS: tuple[Migration, ...] = (
    (
        "create table read_marks (node_id text primary key, read_at text not null) without rowid",
        # `visit` orders the places; a clock may be set back, a counter may not.
        """create table places (
            node_id text primary key,
            scroll real not null,
            visit integer not null
        ) without rowid""",
        "create index places_by_visit on places (visit)",
        "create table settings (key text primary key, value text not null) without rowid",
        # autoincrement: the id of a deleted run is never given to another.
        """create table runs (
            id integer primary key autoincrement,
            lab text not null,
            params text not null,
            seed integer not null,
            app_version text not null,
            environment text not null,
            started text not null,
            seconds real not null,
            status text not null,
            name text not null,
            pinned integer not null,
            results_bytes integer not null
        )""",
        "create index runs_by_lab on runs (lab, started)",
        # The blobs stand apart, so that listing runs reads no blob pages.
        """create table run_results (
            run_id integer primary key references runs (id) on delete cascade,
            results blob not null
        )""",
    ),
)

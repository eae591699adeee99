-- +goose Up

-- What upstreams last said. The record is in a table of its own: confirming an answer then rewrites a short row, not
-- megabytes.
CREATE TABLE answers (
	id      INTEGER PRIMARY KEY,
	layer   TEXT    NOT NULL,
	package TEXT    NOT NULL,
	kind    TEXT    NOT NULL,
	name    TEXT    NOT NULL,
	absent  INTEGER NOT NULL,
	why     TEXT    NOT NULL,
	checked INTEGER NOT NULL,
	fresh   INTEGER NOT NULL,
	changed INTEGER NOT NULL,
	doubt   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX answers_question ON answers (layer, package, kind, name);

CREATE TABLE records (
	answer INTEGER NOT NULL PRIMARY KEY REFERENCES answers (id) ON DELETE CASCADE,
	record BLOB    NOT NULL
) STRICT;

-- The documents of an answer, n = 0, 1, 2 … without gaps.
CREATE TABLE documents (
	answer   INTEGER NOT NULL REFERENCES answers (id) ON DELETE CASCADE,
	n        INTEGER NOT NULL,
	url      TEXT    NOT NULL,
	accept   TEXT    NOT NULL,
	final    TEXT    NOT NULL,
	etag     TEXT    NOT NULL,
	modified TEXT    NOT NULL,
	type     TEXT    NOT NULL,
	text     TEXT,
	blob     TEXT,
	size     INTEGER NOT NULL,
	PRIMARY KEY (answer, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX documents_blob ON documents (blob) WHERE blob IS NOT NULL;

-- Which bytes are, or were, held for a file of an upstream.
CREATE TABLE holdings (
	id       INTEGER PRIMARY KEY,
	layer    TEXT    NOT NULL,
	package  TEXT    NOT NULL,
	version  TEXT    NOT NULL,
	file     TEXT    NOT NULL,
	blob     TEXT,
	size     INTEGER NOT NULL,
	sha256   TEXT,
	digests  TEXT    NOT NULL,
	type     TEXT    NOT NULL,
	url      TEXT    NOT NULL,
	modified INTEGER NOT NULL,
	keep     INTEGER NOT NULL,
	detail   TEXT
) STRICT;
CREATE UNIQUE INDEX holdings_key ON holdings (layer, package, version, file);
CREATE INDEX holdings_blob ON holdings (blob, keep) WHERE blob IS NOT NULL;

-- One row for each blob that a holding names, with when it was last read.
CREATE TABLE held (
	blob TEXT    NOT NULL PRIMARY KEY,
	size INTEGER NOT NULL,
	used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX held_used ON held (used, blob);

-- Computed documents; all rows of one (repository, name) have one stamp.
CREATE TABLE derived (
	repository TEXT    NOT NULL,
	name       TEXT    NOT NULL,
	encoding   TEXT    NOT NULL,
	stamp      TEXT    NOT NULL,
	type       TEXT    NOT NULL,
	blob       TEXT,
	size       INTEGER NOT NULL,
	modified   INTEGER NOT NULL,
	PRIMARY KEY (repository, name, encoding)
) STRICT, WITHOUT ROWID;
CREATE INDEX derived_blob ON derived (blob) WHERE blob IS NOT NULL;

-- Counts and sums over the tables above, kept by the transactions that change them, so that nobody has to count rows.
CREATE TABLE sums (
	what  TEXT    NOT NULL,
	layer TEXT    NOT NULL,
	n     INTEGER NOT NULL,
	PRIMARY KEY (what, layer)
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 1297113953;
PRAGMA user_version = 1;

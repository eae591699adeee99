-- +goose Up

-- What was published here. live counts the versions that are not deleted; the version "" counts if a file of it is not.
CREATE TABLE packages (
	id         INTEGER PRIMARY KEY,
	repository TEXT    NOT NULL,
	name       TEXT    NOT NULL,
	display    TEXT    NOT NULL,
	merge      TEXT    NOT NULL,
	meta       TEXT,
	created    INTEGER NOT NULL,
	changed    INTEGER NOT NULL,
	changes    INTEGER NOT NULL,
	live       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX packages_name ON packages (repository, name);

CREATE TABLE versions (
	id         INTEGER PRIMARY KEY,
	package    INTEGER NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
	name       TEXT    NOT NULL,
	display    TEXT    NOT NULL,
	publisher  TEXT    NOT NULL,
	promoted   TEXT    NOT NULL, -- the repository it came from
	published  INTEGER NOT NULL,
	seen       INTEGER NOT NULL,
	prerelease INTEGER NOT NULL,
	yanked     INTEGER NOT NULL,
	yanked_why TEXT    NOT NULL,
	partial    INTEGER NOT NULL,
	licence    TEXT    NOT NULL,
	meta       TEXT,
	deleted    INTEGER NOT NULL,
	deleter    TEXT    NOT NULL,
	deleted_why TEXT   NOT NULL
) STRICT;
CREATE UNIQUE INDEX versions_name ON versions (package, name);

-- The package stands in each file's row too, to find a file by its name alone.
CREATE TABLE files (
	version    INTEGER NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
	name       TEXT    NOT NULL,
	package    INTEGER NOT NULL,
	about      TEXT    NOT NULL,
	platform   TEXT    NOT NULL,
	size       INTEGER NOT NULL,
	digests    TEXT    NOT NULL,
	blob       TEXT,
	url        TEXT    NOT NULL,
	type       TEXT    NOT NULL,
	published  INTEGER NOT NULL,
	seen       INTEGER NOT NULL,
	yanked     INTEGER NOT NULL,
	yanked_why TEXT    NOT NULL,
	vanished   INTEGER NOT NULL,
	corrupt    INTEGER NOT NULL,
	meta       TEXT,
	publisher  TEXT    NOT NULL,
	deleted    INTEGER NOT NULL,
	purged     INTEGER NOT NULL,
	expires    INTEGER NOT NULL,
	PRIMARY KEY (version, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX files_name ON files (package, name);
CREATE INDEX files_blob ON files (blob) WHERE blob IS NOT NULL AND purged = 0;

CREATE TABLE refs (
	package INTEGER NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
	name    TEXT    NOT NULL,
	target  TEXT    NOT NULL,
	moved   INTEGER NOT NULL,
	mover   TEXT    NOT NULL,
	meta    TEXT,
	PRIMARY KEY (package, name)
) STRICT, WITHOUT ROWID;

-- Counts and sums of what is hosted and not deleted, by repository, kept by the transactions that change it.
CREATE TABLE sums (
	what  TEXT    NOT NULL,
	layer TEXT    NOT NULL,
	n     INTEGER NOT NULL,
	PRIMARY KEY (what, layer)
) STRICT, WITHOUT ROWID;

-- Small records whose meaning their rooms know. expires is 0 for those that never do.
CREATE TABLE entries (
	kind    TEXT    NOT NULL,
	id      TEXT    NOT NULL,
	owner   TEXT    NOT NULL,
	value   TEXT,
	expires INTEGER NOT NULL,
	PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_owner ON entries (kind, owner, id);
CREATE INDEX entries_expires ON entries (expires) WHERE expires > 0;

-- The events are chained from here on; the next step chains those that are there already.
ALTER TABLE events ADD COLUMN epoch   INTEGER NOT NULL DEFAULT 1;
ALTER TABLE events ADD COLUMN token   TEXT    NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN client  TEXT    NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN request TEXT    NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN salt    BLOB    NOT NULL DEFAULT x'';
ALTER TABLE events ADD COLUMN hash    BLOB    NOT NULL DEFAULT x'';
CREATE INDEX events_time       ON events (time);
CREATE INDEX events_actor      ON events (actor);
CREATE INDEX events_verb       ON events (verb);
CREATE INDEX events_repository ON events (repository);
CREATE INDEX events_package    ON events (package);

-- The end of the log: one row, which every transaction with an event changes, and which so gives out the numbers.
CREATE TABLE head (
	id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
	epoch INTEGER NOT NULL,
	seq   INTEGER NOT NULL,
	hash  BLOB    NOT NULL,
	time  INTEGER NOT NULL
) STRICT;

PRAGMA user_version = 2;

-- +goose Up

-- What was changed, by whom: one row a change, written in the change's own transaction.
CREATE TABLE events (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	time       INTEGER NOT NULL,
	actor      TEXT    NOT NULL,
	verb       TEXT    NOT NULL,
	repository TEXT    NOT NULL,
	layer      TEXT    NOT NULL,
	package    TEXT    NOT NULL,
	version    TEXT    NOT NULL,
	file       TEXT    NOT NULL,
	detail     TEXT
) STRICT;

-- Values that belong to the pond as a whole.
CREATE TABLE settings (
	name  TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 1297113972;
PRAGMA user_version = 1;

-- +goose Up

-- A search names one thing with few events and others with many. These indexes hold the others too, in the order of the
-- numbers, so that what does not match is passed over without reading its row.
DROP INDEX events_actor;
DROP INDEX events_verb;
DROP INDEX events_repository;
CREATE INDEX events_actor      ON events (actor, seq, verb, repository);
CREATE INDEX events_verb       ON events (verb, seq, repository);
CREATE INDEX events_repository ON events (repository, seq, version);
CREATE INDEX events_version    ON events (version) WHERE version <> '';

PRAGMA user_version = 4;

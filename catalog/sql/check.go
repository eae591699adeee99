package sql

import (
	"context"
	stdsql "database/sql"
	"fmt"
)

// What counts as live is said by tallyOf; this says it in SQL.
const (
	liveFiles    = `(SELECT COUNT(*) FROM files f WHERE f.version = v.id AND f.deleted = 0)`
	liveVersions = `FROM versions v JOIN packages p ON p.id = v.package WHERE v.deleted = 0`
)

// hostedChecks answer rows of what is wrong with catalog.db in words; each is one statement, so that all is of one moment.
var hostedChecks = [...]string{ // never changed
	`SELECT 'the sum of ' || what || ' of ' || layer || ' is off by ' || SUM(n) FROM (
	SELECT what, layer, -n AS n FROM sums
	UNION ALL SELECT '` + sumHostedPackages + `', repository, COUNT(*) FROM packages WHERE live > 0 GROUP BY repository
	UNION ALL SELECT '` + sumHostedVersions + `', p.repository, COUNT(*) ` + liveVersions + ` AND v.name <> '' GROUP BY p.repository
	UNION ALL SELECT '` + sumHostedFiles + `', p.repository, SUM(` + liveFiles + `) ` + liveVersions + ` GROUP BY p.repository
	UNION ALL SELECT '` + sumHostedBytes + `', p.repository, SUM((SELECT COALESCE(SUM(CASE WHEN f.size > 0 THEN f.size ELSE 0 END), 0)
		FROM files f WHERE f.version = v.id AND f.deleted = 0)) ` + liveVersions + ` GROUP BY p.repository
) AS parts GROUP BY what, layer HAVING SUM(n) <> 0`,

	`SELECT 'the package ' || name || ' of ' || repository || ' counts ' || live || ' versions, and has ' || has FROM (
	SELECT name, repository, live, (SELECT COUNT(*) FROM versions v WHERE v.package = packages.id AND v.deleted = 0
		AND (v.name <> '' OR ` + liveFiles + ` > 0)) AS has FROM packages) AS counted WHERE live <> has`,

	`SELECT 'the file ' || f.name || ' is not of its version''s package' FROM files f JOIN versions v ON v.id = f.version WHERE f.package <> v.package`,

	`SELECT 'the log has ' || n || ' events, numbered ' || first || ' to ' || last FROM
	(SELECT COUNT(*) AS n, COALESCE(MIN(seq), 1) AS first, COALESCE(MAX(seq), 0) AS last FROM events) AS counted WHERE first <> 1 OR last <> n`,

	`SELECT 'the log ends with event ' || last || ', and its head is ' || head FROM
	(SELECT COALESCE((SELECT MAX(seq) FROM events), 0) AS last, COALESCE((SELECT seq FROM head), 0) AS head) AS ends WHERE last <> head`,

	`SELECT 'the head of the log is not the hash of event ' || head.seq FROM head JOIN events ON events.seq = head.seq
	WHERE events.hash <> head.hash OR events.epoch <> head.epoch`,

	`SELECT 'event ' || seq || ' is not chained' FROM events WHERE length(hash) <> 32 OR length(salt) <> 16 LIMIT 20`,
}

// compareHosted runs one of the checks.
func (c *Catalog) compareHosted(ctx context.Context, check string) ([]string, error) {
	rows, err := c.changes.read.QueryContext(ctx, check) // long: it ends with ctx
	if err != nil {
		return nil, c.changes.readFailed(err)
	}
	var found []string
	err = c.changes.drain(rows, func(rows *stdsql.Rows) error {
		var words string
		err := rows.Scan(&words)
		found = append(found, fmt.Sprintf("%s: %s", changesName, words))
		return err
	})
	return found, err
}

package cli

import (
	"fmt"
	"strings"
)

// An alert is a rule for a monitor: what it looks for in the metrics, for how long it lasts before somebody is told, and what is
// the matter then, in words.
type alert struct {
	name, expr, lasts, severity, words string
}

// alerts are those that a pond's operator wants.
var alerts = []alert{ // never changed
	{"MillpondDown", `up{job="millpond"} == 0`, "2m", "page", "the pond does not answer"},
	{"MillpondCanary", `millpond_canary_ok == 0`, "5m", "page", "clients may not reach the pond at its public_url; /-/readyz?verbose says why"},
	{"MillpondErrors", `sum(increase(millpond_http_requests_total{format!="",status="500"}[30d])) / sum(increase(millpond_http_requests_total{format!=""}[30d])) > 0.0001`, "10m", "ticket",
		"more than one request in ten thousand of the last 30 days failed by the pond's own fault"},
	{"MillpondSlowHits", `histogram_quantile(0.99, sum by (le) (rate(millpond_ttfb_seconds_bucket{result="hit"}[10m]))) > 0.02`, "30m", "ticket", "one hit in a hundred takes longer than 20 ms to begin"},
	{"MillpondSlowCommits", `histogram_quantile(0.99, sum by (le) (rate(millpond_commit_seconds_bucket[10m]))) > 0.25`, "30m", "ticket", "one write in a hundred takes the disk longer than 250 ms, and publishes with it"},
	{"MillpondWriteQueue", `millpond_write_queue > 100`, "5m", "page", "writes wait for the disk"},
	{"MillpondWritesStopped", `millpond_writes_stopped == 1`, "0m", "page", "nothing can be written until a restart; look at the disk first"},
	{"MillpondUnreadable", `millpond_catalog_readable == 0`, "2m", "page", "the pond's records cannot be read"},
	{"MillpondDiskLow", `millpond_disk_low == 1`, "15m", "page", "the disk is low: what is fetched is not kept, and publishing stops soon"},
	{"MillpondCorrupt", `increase(millpond_corrupt_total[1h]) > 0`, "0m", "page", "an upstream sent other bytes than it declared; nothing of them was kept"},
	{"MillpondFlagged", `increase(millpond_flagged_total[1h]) > 0`, "0m", "ticket", "an upstream's file was fetched that publishing would refuse; the log names it"},
	{"MillpondLeak", `increase(millpond_upstream_url_leaks_total[1h]) > 0`, "0m", "ticket", "a document names an upstream's address, so that clients may go past the pond; the log names it"},
	{"MillpondUpstreamIll", `millpond_upstream_state == 1`, "30m", "ticket", "an upstream is ill: what is held is served, and nothing new of it"},
	{"MillpondReloadFailed", `increase(millpond_config_reloads_total{result="failed"}[1h]) > 0`, "0m", "ticket", "a configuration was refused, and the one before is in force"},
	{"MillpondBackupOld", `time() - millpond_last_success_timestamp{job="backup"} > 86400 or absent(millpond_last_success_timestamp{job="backup"})`, "1h", "ticket", "the last backup is older than a day, or there is none"},
	{"MillpondCheckOld", `time() - millpond_last_success_timestamp{job="check"} > 2592000 or absent(millpond_last_success_timestamp{job="check"})`, "1h", "ticket", "not all bytes were checked in the last 30 days: millpond check --read-data"},
	{"MillpondSweepOld", `time() - millpond_last_success_timestamp{job="sweep"} > 259200`, "1h", "ticket", "nothing was swept for three days"},
	{"MillpondHeadOld", `time() - millpond_last_success_timestamp{job="head"} > 900`, "15m", "ticket", "the head of the log of changes is not signed any more"},
	{"MillpondExpiry", `millpond_expiry_seconds < 1209600`, "1h", "ticket", "a certificate ends within two weeks"},
}

type alertsCommand struct {
	JSON bool `name:"json" help:"Print JSON, which Prometheus reads as well."`
}

// Run prints the rules, as a file for Prometheus.
func (c *alertsCommand) Run(p *Process) error {
	if c.JSON {
		type m map[string]any
		var rules []m
		for _, a := range alerts {
			rules = append(rules, m{"alert": a.name, "expr": a.expr, "for": a.lasts, "labels": m{"severity": a.severity}, "annotations": m{"summary": a.words}})
		}
		return printJSON(p.Out, m{"groups": []m{{"name": "millpond", "rules": rules}}})
	}
	var b strings.Builder
	b.WriteString("# Made by \"millpond alerts\". The job that reads /-/metrics is called millpond.\ngroups:\n- name: millpond\n  rules:\n")
	for _, a := range alerts {
		fmt.Fprintf(&b, "  - alert: %s\n    expr: %q\n    for: %s\n    labels: {severity: %s}\n    annotations: {summary: %q}\n", a.name, a.expr, a.lasts, a.severity, a.words)
	}
	_, err := fmt.Fprint(p.Out, b.String())
	return err
}

// A panel is a picture of figures over time.
type panel struct {
	title, unit string
	lines       [][2]string // what is drawn, and how it is called
}

// panels are the dashboard's, in rows of three.
var panels = []panel{ // never changed
	{"Requests", "reqps", [][2]string{{`sum by (format) (rate(millpond_http_requests_total[5m]))`, "{{format}}"}}},
	{"What the cache did", "reqps", [][2]string{{`sum by (result) (rate(millpond_cache_requests_total[5m]))`, "{{result}}"}}},
	{"Refused and failed", "reqps", [][2]string{{`sum by (status) (rate(millpond_http_requests_total{status=~"4..|5.."}[5m]))`, "{{status}}"}, {`sum by (verb) (rate(millpond_denied_total[5m]))`, "no right to {{verb}}"}}},
	{"Time to the first byte, 99 %", "s", [][2]string{{`histogram_quantile(0.99, sum by (le, result) (rate(millpond_ttfb_seconds_bucket[5m])))`, "{{result}}"}}},
	{"Served and fetched", "Bps", [][2]string{{`rate(millpond_served_bytes_total[5m])`, "served"}, {`rate(millpond_fetched_bytes_total[5m])`, "fetched"}, {`rate(millpond_saved_bytes_total[5m])`, "saved"}}},
	{"Downloads", "short", [][2]string{{`millpond_fills`, "under way"}, {`millpond_followers`, "readers of them"}, {`millpond_fill_waiting`, "readers that wait"}}},
	{"Upstreams", "reqps", [][2]string{{`sum by (upstream, status) (rate(millpond_upstream_requests_total[5m]))`, "{{upstream}} {{status}}"}}},
	{"Upstreams that are ill", "short", [][2]string{{`millpond_upstream_state`, "{{upstream}}"}}},
	{"Waiting for upstreams, 99 %", "s", [][2]string{{`histogram_quantile(0.99, sum by (le) (rate(millpond_upstream_seconds_bucket[5m])))`, "seconds"}}},
	{"Held", "bytes", [][2]string{{`millpond_held_bytes`, "{{layer}}"}, {`millpond_disk_free_bytes`, "free"}}},
	{"Given up for room", "Bps", [][2]string{{`rate(millpond_evicted_bytes_total[1h])`, "bytes"}}},
	{"Held back by rules", "short", [][2]string{{`millpond_holds`, "{{format}}"}}},
	{"Writes of the catalog, 99 %", "s", [][2]string{{`histogram_quantile(0.99, sum by (le) (rate(millpond_commit_seconds_bucket[5m])))`, "seconds"}}},
	{"Writes that wait", "short", [][2]string{{`millpond_write_queue`, "writes"}}},
	{"Log not yet in place", "bytes", [][2]string{{`millpond_wal_bytes`, "bytes"}}},
	{"Changes", "short", [][2]string{{`rate(millpond_event_seq[5m])`, "a second"}}},
	{"Since work last went well", "s", [][2]string{{`time() - millpond_last_success_timestamp`, "{{job}}"}}},
	{"Connections", "short", [][2]string{{`millpond_connections`, "open"}}},
}

type dashboardCommand struct{}

// Run prints the dashboard, as Grafana imports it.
func (*dashboardCommand) Run(p *Process) error {
	type m map[string]any
	var all []m
	const wide, high, inRow = 8, 8, 3
	for i, one := range panels {
		var targets []m
		for k, line := range one.lines {
			targets = append(targets, m{"refId": string(rune('A' + k)), "expr": line[0], "legendFormat": line[1]})
		}
		all = append(all, m{"id": i + 1, "type": "timeseries", "title": one.title, "targets": targets, "datasource": m{"type": "prometheus", "uid": "${source}"},
			"gridPos":     m{"x": i % inRow * wide, "y": i / inRow * high, "w": wide, "h": high},
			"fieldConfig": m{"defaults": m{"unit": one.unit}, "overrides": []m{}}})
	}
	return printJSON(p.Out, m{"title": "Millpond", "uid": "millpond", "schemaVersion": 39, "refresh": "1m", "time": m{"from": "now-6h", "to": "now"}, "panels": all,
		"templating": m{"list": []m{{"name": "source", "type": "datasource", "query": "prometheus", "label": "Source"}}}})
}

package config

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const withOutward = `
listen: 127.0.0.1:1
advisories:
  - osv/records
  - at: https://feed.example/all.zip
    name: house
    ids: [MAL-*, OWN-*]
    every: 1m
    token: ${FEED_TOKEN}
purge: https://cache.example/purge
shared_max_age: 60s
heads:
  - "syslog:"
  - {url: https://vault.example/heads, token: "${FEED_TOKEN}"}
repositories: {}
`

func TestOutward(t *testing.T) {
	c := load(t, withOutward, env("FEED_TOKEN", "hush"))
	dir := filepath.Dir(c.file)
	feeds := []Feed{{At: filepath.Join(dir, "osv/records")}, {At: "https://feed.example/all.zip", Name: "house", IDs: []string{"MAL-*", "OWN-*"}, Every: time.Minute, Token: "hush"}}
	if !reflect.DeepEqual(c.Advisories, feeds) {
		t.Errorf("advisories are %+v, want %+v", c.Advisories, feeds)
	}
	purge, heads := []Receiver{{URL: "https://cache.example/purge"}}, []Receiver{{URL: "syslog:"}, {"https://vault.example/heads", "hush"}}
	if !reflect.DeepEqual(c.Purge, purge) || !reflect.DeepEqual(c.Heads, heads) || c.SharedMaxAge != time.Minute {
		t.Errorf("purge %+v, heads %+v, shared_max_age %v; want %+v, %+v, 1m", c.Purge, c.Heads, c.SharedMaxAge, purge, heads)
	}
	var b strings.Builder
	if err := Write(&b, c); err != nil || strings.Contains(b.String(), "hush") {
		t.Errorf("a secret was written, %v:\n%s", err, b.String())
	}
	again := rewritten(t, c)
	again.Advisories[1].Token, again.Heads[1].Token = "hush", "hush"
	if !reflect.DeepEqual(again.Advisories, feeds) || !reflect.DeepEqual(again.Purge, purge) || !reflect.DeepEqual(again.Heads, heads) || again.SharedMaxAge != time.Minute {
		t.Errorf("written and read again: %+v", again)
	}
}

func TestOutwardErrors(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"a feed of another kind", "advisories: ['ftp://x/']", "advisories[0].at: a directory or a URL is needed"},
		{"a feed with a secret", "advisories: ['https://a:b@x/']", "a secret belongs into token"},
		{"no feed", "advisories: [{name: x}]", "advisories[0].at: a directory"},
		{"too often", "advisories: [{at: /x, every: 1s}]", "advisories[0].every: it is 10s at least"},
		{"a bad pattern", "advisories: [{at: /x, ids: ['[']}]", "advisories[0].ids[0]"},
		{"a purge without a host", "purge: /x", "purge[0].url: an http or https address"},
		{"heads to nowhere", "heads: [vault]", "heads[0].url: an address is needed"},
		{"heads with a secret", "heads: ['https://a:b@x/']", "a secret belongs into token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Load(write(t, c.file), env(), formats()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %s", c.file, err, c.want)
			}
		})
	}
}

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/repo"
)

// whole is a file that says nearly everything.
const whole = `
listen: 127.0.0.1:8090
data: held
public-url: https://pond.example
offline: true
tls: local
trusted_proxies: [10.0.0.0/8, "127.0.0.1"]
read: [anonymous, ci]
limits: {max_bytes: 1.5TiB, low_free: 10GiB, downloads: 8}
log:
  format: text
  access: false
metrics: false
repositories:
  staging:
    format: pypi
    upstreams: []
  pypi:
    format: pypi
    json: "off"
    upstreams:
      - https://upstream.example/simple
      - repository: staging
      - url: https://other.example:8443/simple/
        name: other
        username: ci
        password: ${OTHER_PASSWORD}
        headers: {X-Team: "a: b"}
        also: [https://files.example]
        allow_addresses: [10.1.0.0/16]
        connections: 4
        rate: 2.5
        idle: 1m
        min_rate: 2KiB
        poll: 15m
        merge: union
        json: ../api/
    claims: ["acme-*"]
    merge: union
    fill:
      - "huge-*": redirect
      - "*": cached-only
    read: []
    fresh: 5m
    absent: 1h30m
    rules:
      - hold: 7d
        except: ["trusted-*", {name: "x@1.2", until: 2026-12-01, why: audited}]
      - latest: 5
        dry-run: true
  golang:
    format: golang
    upstreams: https://ci:secret@upstream.example/
    claims: ["git.acme.example,other.example/*"]
    fill: pass
`

func TestLoad(t *testing.T) {
	c := load(t, whole, env("OTHER_PASSWORD", "pass: #word${x}"))
	want := map[string]any{
		"Listen": "127.0.0.1:8090", "PublicURL": "https://pond.example/", "Offline": true, "TLS": TLS{Local: true},
		"Read": []string{"anonymous", "ci"}, "Limits": Limits{MaxBytes: 3 << 39, LowFree: 10 << 30, Downloads: 8, Waiting: 1024, Misses: 20000},
		"Log": Log{Format: "text", Level: "info"}, "Metrics": false, "Adopting": false,
	}
	for name, value := range want {
		if got := reflect.ValueOf(c).Elem().FieldByName(name).Interface(); !reflect.DeepEqual(got, value) {
			t.Errorf("%s = %#v, want %#v", name, got, value)
		}
	}
	if got := c.Data; filepath.Base(got) != "held" || !filepath.IsAbs(got) {
		t.Errorf("Data = %q, want held beside the file", got)
	}
	if got := fmt.Sprint(c.Proxies()); got != "[10.0.0.0/8 127.0.0.1/32]" {
		t.Errorf("Proxies() = %s", got)
	}
	if got, want := c.Settings(), (repo.Settings{Offline: true, PublicURL: "https://pond.example/", MaxBytes: 3 << 39, LowFree: 10 << 30}); got != want {
		t.Errorf("Settings() = %+v, want %+v", got, want)
	}
	all, err := c.Repositories(formats())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all[0].Name != "staging" || all[1].Name != "pypi" || all[2].Name != "golang" {
		t.Fatalf("repositories in another order than in the file: %+v", all)
	}
	if !all[0].Public || all[1].Public || !all[2].Public {
		t.Errorf("public: %t %t %t, want true false true", all[0].Public, all[1].Public, all[2].Public)
	}
	p := all[1]
	if !p.Union || p.Fresh != 5*time.Minute || p.Absent != 90*time.Minute || p.Options["json"] != "off" || p.Claims[0] != "acme-*" {
		t.Errorf("pypi: %+v", p)
	}
	if got, want := fmt.Sprint(p.Fill), "[{huge-* redirect} {* cached-only}]"; got != want {
		t.Errorf("fill = %s, want %s", got, want)
	}
	if got, want := strings.Join(p.Policy.Names(), "; "), "hold: 7d; latest: 5"; got != want {
		t.Errorf("rules = %s, want %s", got, want)
	}
	if all[0].Policy != nil || len(all[0].Upstreams) != 0 {
		t.Errorf("staging: %+v", all[0])
	}
	first, sibling, other := p.Upstreams[0], p.Upstreams[1], p.Upstreams[2]
	if first.Name != "upstream.example" || first.URL.String() != "https://upstream.example/simple/" {
		t.Errorf("first upstream: %q at %v", first.Name, first.URL)
	}
	if sibling.Name != "staging" || sibling.Sibling != "staging" || sibling.URL != nil {
		t.Errorf("sibling: %+v", sibling)
	}
	if other.Name != "other" || other.Username != "ci" || other.Password != "pass: #word${x}" || other.Header.Get("x-team") != "a: b" ||
		other.Also[0] != "https://files.example" || other.AllowAddresses[0] != "10.1.0.0/16" || other.Connections != 4 || all[1].Upstreams[2].Poll != 15*time.Minute || other.Rate != 2.5 ||
		other.Idle != time.Minute || other.MinRate != 2048 || other.Merge != "union" || other.Options["json"] != "../api/" {
		t.Errorf("other: %+v", other)
	}
	if u := all[2].Upstreams[0]; u.Username != "ci" || u.Password != "secret" || u.URL.User != nil {
		t.Errorf("credentials in a URL: %q %q, URL %v", u.Username, u.Password, u.URL)
	}
}

// Keys of settings may be spelt with "-" or "_"; names and patterns are what they are.
func TestNamesThatDifferByALine(t *testing.T) {
	c := load(t, "repositories:\n  a-b: {format: pypi, upstreams: [{url: 'https://u.example/', headers: {X-A: '1', X_A: '2'}}]}\n"+
		"  a_b:\n    format: golang\n    fill: {a-*: pass, a_*: store}\n", env())
	if len(c.Repos) != 2 || len(c.Repos[0].Upstreams[0].Headers) != 2 || len(c.Repos[1].Fill) != 2 {
		t.Errorf("got %+v", c.Repos)
	}
}

func TestNamesOfAnUpstream(t *testing.T) {
	c := load(t, "repositories:\n  p: {format: pypi, upstreams: [{url: 'https://upstream.example/', names: [acme-*, one]}]}", env())
	all, err := c.Repositories(formats())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(all[0].Upstreams[0].Names); got != "[acme-* one]" {
		t.Errorf("names = %s", got)
	}
	none := "repositories:\n  p: {format: pypi, upstreams: [{url: 'https://upstream.example/', names: ['']}]}"
	if _, err := Load(write(t, none), env(), formats()); err == nil || !strings.Contains(err.Error(), "upstreams[0].names[0]") {
		t.Errorf("an empty pattern: got %v, want to hear where it stands", err)
	}
}

func TestPlacesOfARepositorysOwn(t *testing.T) {
	c := load(t, "public_url: https://pond.example\nread: anonymous\nrepositories:\n  p: {format: pypi, host: [P.example., q.example], listen: 'http://:3142'}", env())
	all, err := c.Repositories(formats())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(all[0].Hosts, " ", all[0].Listen); got != "[p.example q.example] http://:3142" {
		t.Errorf("places = %s, want the hosts in lower case and the listener as it stands there", got)
	}
}

// TestErrors holds what each mistake is answered with. Every want begins with the line.
func TestErrors(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"unknown key", "listne: x", `1: unknown key "listne"; did you mean listen?`},
		{"unknown key below", "log:\n  levle: info", `2: log: unknown key "levle"; did you mean level?`},
		{"unknown key of a repository", "repositories:\n  p:\n    format: pypi\n    upstream: x", `4: repositories.p: unknown key "upstream"; did you mean upstreams?`},
		{"an option of another format", "repositories:\n  p:\n    format: pypi\n    scope: x",
			`4: repositories.p: unknown key "scope"; known are json, format, upstreams, claims, merge, fill, read, publish, maintain, own, hosted, volatile, unpublish, claimed_only, max_file, rules, fresh, absent, host, root, listen, tunnels`},
		{"a misspelt option", "repositories:\n  p:\n    format: npm\n    lockfile: x", `4: repositories.p: unknown key "lockfile"; did you mean lock-file?`},
		{"unknown key of an upstream", "repositories:\n  p:\n    format: pypi\n    upstreams:\n    - url: https://u.example/\n      user: x",
			`6: repositories.p.upstreams[0]: unknown key "user"; did you mean username?`},
		{"unknown format", "repositories:\n  p:\n    scope: x\n    format: pipy", `4: repositories.p.format: unknown format "pipy"; did you mean pypi?`},
		{"no format", "repositories:\n  p: {fill: pass}", `2: repositories.p: it has no format; one of pypi, npm, golang is needed`},
		{"nothing", "repositories:\n  p:", `2: repositories.p: it says nothing; format is needed`},
		{"twice", "offline: true\nlisten: :1\noffline: false\nread: []", `3: offline stands here twice, first in line 1`},
		{"twice, spelt otherwise", "public_url: https://a.example\npublic-url: https://a.example", `2: public-url stands here twice, first in line 1`},
		{"twice in a rule, spelt otherwise", "repositories:\n  p:\n    format: pypi\n    rules:\n    - hold: 7d\n      dry-run: true\n      dry_run: false", `7: repositories.p.rules[0]: dry_run stands here twice, first in line 6`},
		{"a repository twice", "repositories:\n  p: {format: pypi}\n  p: {format: npm}", `3: repositories: p stands here twice, first in line 2`},
		{"merge keys", "log: &l {level: info}\ntls:\n  <<: *l", `3: tls: << is not understood; write the keys out`},
		{"a list for a mapping", "log: [a]", `1: log: a mapping is needed here, not a list`},
		{"a mapping for text", "data: {a: b}", `1: data: directory is needed here, not a mapping`},
		{"not a mapping", "- a", `1: a mapping is needed here, not a list`},
		{"a list as upstream", "repositories:\n  p:\n    format: pypi\n    upstreams: [[a]]", `4: repositories.p.upstreams[0]: a URL, or a mapping is needed here, not a list`},
		{"truth", "offline: yes please", `1: offline: "yes please" is neither true nor false`},
		{"duration", "repositories: {p: {format: pypi, fresh: 5}}", `1: repositories.p.fresh: "5" is not a duration: write 7d, 12h or 1h30m`},
		{"size", "limits:\n  max_bytes: lots", `2: limits.max_bytes: "lots" is not a size: write 500MB, 10GiB or a number of bytes`},
		{"number", "limits:\n  downloads: -1", `2: limits.downloads: "-1" is not a whole number`},
		{"zero", "limits:\n  downloads: 0", `2: limits.downloads: at least 1 is needed`},
		{"tag", "data: !secret x", `1: data: the tag !secret is not understood`},
		{"binary", "data: !!binary aGk=", `1: data: the tag !!binary is not understood`},
		{"no such variable", "\ndata: /x/${NOPE}", `2: data: the environment has no NOPE`},
		{"no end of a variable", "data: /x/${NOPE", `1: data: after ${ the name of a variable and } are needed; write $${ for the characters themselves`},
		{"listen", "listen: '8080'", `1: listen: "8080" is not an address: write 127.0.0.1:8080, or :8080 for all addresses of this machine`},
		{"others can reach it", "listen: :8080\nrepositories:\n  p: {format: pypi}",
			`3: repositories.p: others can reach the pond on :8080, so read must say who may read: read: [anonymous] is everybody`},
		{"others can reach a repository", "repositories:\n  p: {format: pypi, listen: ':3142'}",
			`2: repositories.p.listen: others can reach the repository on :3142, so read must say who may read: read: [anonymous] is everybody`},
		{"a listener that is none", "repositories:\n  p: {format: pypi, listen: 'http://3142'}",
			`2: repositories.p.listen: "3142" is not an address: write 127.0.0.1:8080, or :8080 for all addresses of this machine`},
		{"a tunnel from nowhere", "repositories:\n  p: {format: pypi, tunnels: [files.example]}", `2: repositories.p.tunnels: a tunnel begins at a listener of the repository's own, of a format that answers as a proxy`},
		{"a tunnel of a format that is no proxy", "repositories:\n  p: {format: pypi, listen: '127.0.0.1:3142', tunnels: [files.example]}", `2: repositories.p.tunnels: a tunnel begins at a listener of the repository's own, of a format that answers as a proxy`},
		{"the pond's listener", "repositories:\n  p: {format: pypi, listen: 'http://127.0.0.1:8080'}", `2: repositories.p.listen: the pond itself listens on 127.0.0.1:8080`},
		{"one listener for two", "repositories:\n  p: {format: pypi, listen: 127.0.0.1:1}\n  q: {format: npm, listen: 'http://127.0.0.1:1'}",
			`3: repositories.q.listen: p listens on 127.0.0.1:1 already`},
		{"a host without public_url", "repositories:\n  p: {format: pypi, host: p.example}",
			`2: repositories.p.host: it needs public_url, by which the pond's own pages are told apart from what is at p.example`},
		{"the pond's host", "public_url: https://Pond.example\nrepositories:\n  p: {format: pypi, host: [pond.example.]}",
			`3: repositories.p.host: pond.example is the pond's own, by public_url`},
		{"one host for two", "public_url: https://pond.example\nrepositories:\n  p: {format: pypi, host: p.example}\n  q: {format: npm, host: P.example}",
			`4: repositories.q.host: p has the host p.example already`},
		{"hosts that are none", "public_url: https://pond.example\nrepositories:\n  p: {format: pypi, host: [192.0.2.1, 'a:80', 'https://a', localhost]}",
			"3: repositories.p.host: \"192.0.2.1\" is not the name of a host, like p.pond.example\n3: repositories.p.host: \"a:80\" is not the name of a host, like p.pond.example\n" +
				"3: repositories.p.host: \"https://a\" is not the name of a host, like p.pond.example\n3: repositories.p.host: \"localhost\" is not the name of a host, like p.pond.example"},
		{"an upstream that is a repository's host", "public_url: https://pond.example\nrepositories:\n  p: {format: pypi, host: p.example, upstreams: 'http://p.example/simple/'}",
			`3: repositories.p.upstreams[0]: http://p.example/simple/: that is this pond itself; an upstream is somewhere else, or another repository: {repository: name}`},
		{"an upstream that is a repository's listener", "repositories:\n  p: {format: pypi, listen: 'http://127.0.0.1:3142'}\n  q: {format: pypi, upstreams: 'http://localhost:3142/simple/'}",
			`3: repositories.q.upstreams[0]: http://localhost:3142/simple/: that is this pond itself; an upstream is somewhere else, or another repository: {repository: name}`},
		{"public url", "public_url: pond.example", `1: public_url: an address like https://pond.example/ is needed`},
		{"tls", "tls: yes", `1: tls: it is local, or a mapping with cert and key; not "yes"`},
		{"tls without key", "tls: {cert: /nowhere}", "1: tls: cert and key belong together\n1: tls.cert: stat /nowhere: no such file or directory"},
		{"proxies", "trusted_proxies:\n  - 10.0.0.0/8\n  - here", `3: trusted_proxies[1]: "here" is not an address prefix like 10.0.0.0/8`},
		{"log", "log: {format: xml}\n", `1: log.format: it is json or text, not "xml"`},
		{"repository called v2", "repositories:\n  v2: {format: pypi}", `2: repositories.v2: no repository can be called v2: protocols need that place on a server`},
		{"repository in capitals", "repositories:\n  Py: {format: pypi}",
			`2: repositories.Py: no repository can be called "Py": lower-case letters, digits, ".", "_" and "-" are taken, a letter or digit first`},
		{"merge", "repositories:\n  p:\n    format: pypi\n    merge: hdie", `4: repositories.p.merge: unknown word "hdie"; did you mean hide?`},
		{"fill", "repositories:\n  p:\n    format: pypi\n    fill:\n      acme-*: stroe", `5: repositories.p.fill.acme-*: unknown word "stroe"; did you mean store?`},
		{"claim", "repositories:\n  p:\n    format: pypi\n    claims:\n    - acme-?", `5: repositories.p.claims[0]: "acme-?" is not a pattern: '?' is not understood; the one wildcard is *`},
		{"a claim of two", "repositories:\n  p:\n    format: pypi\n    claims: [acme-*, acme-*]\n  n: {format: npm, claims: [acme-*]}\n  q:\n    format: pypi\n    claims:\n    - tool\n    - acme-*",
			`10: repositories.q.claims[1]: p claims acme-* already; a claim counts in all repositories of the format`},
		{"the root, for clients that do not stray", "repositories:\n  p:\n    format: pypi\n    root: true", `4: repositories.p.root: clients of pypi ask nothing of the root of a host`},
		{"the root twice", "repositories:\n  p:\n    format: golang\n    root: true\n  q:\n    format: golang\n    root: true", `7: repositories.q.root: p has it already`},
		{"upstream of another kind", "repositories:\n  p:\n    format: pypi\n    upstreams: [ftp://u.example/]",
			`4: repositories.p.upstreams[0]: "ftp://u.example/" is not a URL that begins with http:// or https:// or file://`},
		{"upstream without host", "repositories:\n  p:\n    format: pypi\n    upstreams: ['https:///x']", `4: repositories.p.upstreams[0]: "https:///x" names no host`},
		{"upstream with a query", "repositories:\n  p:\n    format: pypi\n    upstreams: ['https://a:b@u.example/?x=y']",
			`4: repositories.p.upstreams[0]: "https://a:xxxxx@u.example/?x=y" has more than a path: a query or a fragment cannot be kept`},
		{"upstream that cannot be read", "repositories:\n  p:\n    format: pypi\n    upstreams: ['https://a:b@u.example:port/']",
			`4: repositories.p.upstreams[0]: it is not a URL: invalid port ":port" after host`},
		{"a password with a slash", "repositories:\n  p:\n    format: pypi\n    upstreams: ['https://ci:s3cr/et@u.example/']",
			"4: repositories.p.upstreams[0]: it is not a URL: before the @ only letters, digits and -._~ stand for themselves: write %25 for %, %2F for /, %3F for ?, %23 for #"},
		{"a password with a percent sign", "repositories:\n  p:\n    format: pypi\n    upstreams: ['https://ci:s3cr%et@u.example/']",
			"4: repositories.p.upstreams[0]: it is not a URL: before the @ only letters, digits and -._~ stand for themselves: write %25 for %, %2F for /, %3F for ?, %23 for #"},
		{"a path with a percent sign", "repositories:\n  p:\n    format: pypi\n    upstreams: ['https://u.example/a%zz']",
			`4: repositories.p.upstreams[0]: it is not a URL: invalid URL escape "%zz"`},
		{"upstream that is this pond", "repositories:\n  p:\n    format: pypi\n    upstreams: ['http://localhost:8080/pypi/simple/']",
			`4: repositories.p.upstreams[0]: http://localhost:8080/pypi/simple/: that is this pond itself; an upstream is somewhere else, or another repository: {repository: name}`},
		{"upstream twice", "repositories:\n  p:\n    format: pypi\n    upstreams:\n    - https://u.example/\n    - https://u.example/",
			`6: repositories.p.upstreams[1]: two upstreams would be called u.example; give each a name`},
		{"upstream that is two things", "repositories:\n  p:\n    format: pypi\n    upstreams: [{url: 'https://u.example/', repository: q}]",
			`4: repositories.p.upstreams[0]: it is either a url or a repository`},
		{"upstream that is nothing", "repositories:\n  p:\n    format: pypi\n    upstreams: [{name: q}]", `4: repositories.p.upstreams[0]: it names no url and no repository`},
		{"two credentials", "repositories:\n  p:\n    format: pypi\n    upstreams: [{url: 'https://u.example/', token: a, username: b}]",
			`4: repositories.p.upstreams[0]: one of username with password, token, and netrc can be used`},
		{"half an access key", "repositories:\n  p:\n    format: pypi\n    upstreams: [{url: 'https://u.example/', region: here, username: b}]",
			`4: repositories.p.upstreams[0].region: requests are signed with username and password, the id and the secret of an access key; without both the key is this machine's`},
		{"a lent key's token alone", "repositories:\n  p:\n    format: pypi\n    upstreams: [{url: 'https://u.example/', region: here, session_token: b}]",
			`4: repositories.p.upstreams[0].session_token: it goes with region, username and password`},
		{"a header with a line break", "repositories:\n  p:\n    format: pypi\n    upstreams: [{url: 'https://u.example/', headers: {X-A: \"a\\nb\"}}]",
			`4: repositories.p.upstreams[0].headers: "X-A" is not a header that can be sent`},
		{"origins", "repositories:\n  p:\n    format: pypi\n    upstreams: [{url: 'https://u.example/', also: files.example}]",
			`4: repositories.p.upstreams[0].also[0]: "files.example" is not an origin like https://files.example`},
		{"no certificates", "repositories:\n  p:\n    format: pypi\n    upstreams: [{url: 'https://u.example/', ca: /dev/null}]",
			`4: repositories.p.upstreams[0].ca: /dev/null holds no certificate`},
		{"no such sibling", "repositories:\n  p:\n    format: pypi\n    upstreams: [{repository: stagign}]\n  staging: {format: pypi}",
			`4: repositories.p.upstreams[0]: there is no repository "stagign"; did you mean staging?`},
		{"a sibling of another format", "repositories:\n  p:\n    format: pypi\n    upstreams: [{repository: q}]\n  q: {format: npm}",
			`4: repositories.p.upstreams[0]: q speaks npm, not pypi`},
		{"a ring", "repositories:\n  p:\n    format: pypi\n    upstreams: [{repository: q}]\n  q:\n    format: pypi\n    upstreams: [{repository: p}]",
			`4: repositories.p.upstreams: it reads through to itself: p, q, p`},
		{"rules", "repositories:\n  p:\n    format: pypi\n    rules:\n    - hold: 7d\n    - hodl: 7d\n    - latest: 5\n      for: [a]\n      until: soon\n    - block: ['x@~1']",
			"6: repositories.p.rules[1]: unknown key \"hodl\"; did you mean hold?\n" +
				"9: repositories.p.rules[2].until: soon is not a day; write 2026-12-01, or a time as in 2026-12-01T08:00:00Z"},
		{"a range nobody can read", "repositories:\n  p:\n    format: pypi\n    rules:\n    - hold: 7d\n    - block: ['x@~1']",
			`6: repositories.p.rules[1].block: "x@~1": "~1" is no range`},
		{"rules that are none", "repositories:\n  p:\n    format: pypi\n    rules: {hold: 7d}", `4: repositories.p.rules: a list of rules is needed here, not a mapping`},
		{"a rule that is none", "repositories:\n  p:\n    format: pypi\n    rules: [hold]", `4: repositories.p.rules[0]: a rule is a mapping, as in "hold: 7d"; not one value`},
		{"not YAML", "listen: :1\nlog: [a", `2: did not find expected ',' or ']'`},
		{"not YAML either", "a: b: c", `1: mapping values are not allowed in this context`},
		{"two documents", "offline: true\n---\noffline: false", `it holds several documents; one is read`},
		{"an alias to itself", "log: &a [*a]", `1: log: a mapping is needed here, not a list`},
		{"an alias to itself in a list", "read: &a [*a]", `1: read[0]: text is needed here, not a list`},
		{"all at once", "listen: x\nlog: {format: a, level: b}\noffline: c",
			"1: listen: \"x\" is not an address: write 127.0.0.1:8080, or :8080 for all addresses of this machine\n" +
				"2: log.format: it is json or text, not \"a\"\n2: log.level: it is one of debug, info, warn, error, not \"b\"\n3: offline: \"c\" is neither true nor false"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, test.file)
			c, err := Load(path, env(), formats())
			if err == nil {
				t.Fatalf("no error; want\n%s", test.want)
			}
			if c != nil {
				t.Error("a configuration came with the error")
			}
			got := strings.ReplaceAll(strings.ReplaceAll(err.Error(), path+": ", ""), path+":", "")
			if got != test.want {
				t.Errorf("file\n%s\n got %s\nwant %s", test.file, got, test.want)
			}
		})
	}
}

// TestBombs holds that a file cannot be made to say more than its size.
func TestBombs(t *testing.T) {
	var b strings.Builder
	b.WriteString("x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "x%d: &x%d [*x%d, *x%d, *x%d, *x%d, *x%d, *x%d, *x%d, *x%d, *x%d, *x%d]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	b.WriteString("repositories: {p: {format: pypi, rules: [{block: *x9}]}}\n")
	if _, err := Load(write(t, b.String()), env(), formats()); err == nil || !strings.Contains(err.Error(), "the file says too much") {
		t.Errorf("a bomb of aliases: %.300v", err)
	}
	ring := "repositories: {p: {format: pypi, rules: [&r {block: *r}]}}\n"
	if _, err := Load(write(t, ring), env(), formats()); err == nil || !strings.Contains(err.Error(), "the file says too much") {
		t.Errorf("a ring of aliases: %.300v", err)
	}
	if _, err := Load(write(t, strings.Repeat("# much\n", 200_000)), env(), formats()); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a large file: %v", err)
	}
	if _, err := Load(write(t, "read: "+strings.Repeat("[", 5000)), env(), formats()); err == nil {
		t.Error("deep nesting is no error")
	}
}

func TestEmptyFiles(t *testing.T) {
	for _, text := range []string{"", "\n \n", "# nothing yet\n", "---\n", "repositories:\n", "~"} {
		c := load(t, text, env())
		if !c.Adopting || len(c.Repos) != 3 || c.Repos[0].Name != "pypi" || c.Listen != "127.0.0.1:8080" {
			t.Errorf("%q: %+v", text, c)
		}
	}
	if c := load(t, "repositories: {}", env()); c.Adopting || len(c.Repos) != 0 {
		t.Errorf("no repositories, said so: %+v", c.Repos)
	}
}

func TestWithoutFile(t *testing.T) {
	c, err := Load("", env(), formats())
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/home/miller/.local/share/millpond" || !c.Adopting || !c.Metrics || !c.Log.Access || c.Read[0] != "anonymous" {
		t.Errorf("without a file: %+v", c)
	}
	c, err = Load("", env("XDG_DATA_HOME", "/xdg"), formats())
	if err != nil || c.Data != "/xdg/millpond" {
		t.Errorf("with XDG_DATA_HOME: %+v, %v", c, err)
	}
	all, err := c.Repositories(formats())
	if err != nil || len(all) != 3 || all[2].Format.Info().Name != "golang" || !all[2].Public || !all[2].Root || all[0].Root {
		t.Errorf("repositories: %+v, %v", all, err)
	}
	_, err = Load("/nowhere/pond.yaml", env(), formats())
	if want := `there is no /nowhere/pond.yaml; "millpond init" writes a first one`; err == nil || err.Error() != want {
		t.Errorf("no such file: %v, want %s", err, want)
	}
}

func TestOver(t *testing.T) {
	file := "listen: 127.0.0.1:1\ndata: /file\noffline: true\nlimits: {downloads: 7}\nrepositories:\n  a: {format: pypi, upstreams: https://file.example/}\n"
	vars := env("MILLPOND_LISTEN", "127.0.0.1:2", "MILLPOND_DATA", "there", "MILLPOND_LIMITS_DOWNLOADS", "9", "MILLPOND_READ", "anonymous, ci",
		"MILLPOND_TLS", "local", "MILLPOND_UPSTREAM_NPM", "https://one.example https://two.example/npm/", "MILLPOND_URL", "http://elsewhere.example/")
	c := load(t, file, vars, Flag{"--listen", "listen", "127.0.0.1:3"}, Flag{"--upstream", "upstream", "pypi=https://flag.example/a"},
		Flag{"--upstream", "upstream", "pypi=https://flag.example/b"}, Flag{"--upstream", "upstream", "golang=none"})
	if c.Listen != "127.0.0.1:3" || c.Data != "there" || !c.Offline || c.Limits.Downloads != 9 || len(c.Read) != 2 || !c.TLS.Local {
		t.Errorf("over the file: %+v", c)
	}
	var got []string
	all, err := c.Repositories(formats())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		for _, u := range r.Upstreams {
			got = append(got, r.Name+" "+u.Name+" "+u.URL.String())
		}
	}
	want := "a flag.example-a https://flag.example/a/\na flag.example-b https://flag.example/b/\n" +
		"npm one.example https://one.example/\nnpm two.example https://two.example/npm/"
	if strings.Join(got, "\n") != want {
		t.Errorf("upstreams:\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if last := c.Repos[len(c.Repos)-1]; last.Name != "golang" || len(last.Upstreams) != 0 {
		t.Errorf("golang=none made %+v", last)
	}
}

func TestOverErrors(t *testing.T) {
	tests := []struct {
		name string
		env  func(string) (string, bool)
		flag Flag
		want string
	}{
		{"variable", env("MILLPOND_LISTEN", "8080"), Flag{"--data", "data", "/d"},
			`MILLPOND_LISTEN: "8080" is not an address: write 127.0.0.1:8080, or :8080 for all addresses of this machine`},
		{"variable of another kind", env("MILLPOND_OFFLINE", "1"), Flag{"--data", "data", "/d"}, `MILLPOND_OFFLINE: "1" is neither true nor false`},
		{"flag", env(), Flag{"--listen", "listen", "0.0.0.0:80"},
			`--listen: others can reach the pond on 0.0.0.0:80, so read must say who may read: read: [anonymous] is everybody`},
		{"flag of an unknown key", env(), Flag{"--set", "limits.max", "1"}, `--set: unknown setting "limits.max"; did you mean limits.max_bytes?`},
		{"flag for the file", env(), Flag{"--set", "repositories", "1"}, `--set: it can be set in a file only`},
		{"flag for a group", env(), Flag{"--set", "log", "1"}, `--set: it can be set in a file only`},
		{"tls", env(), Flag{"--tls", "tls", "yes"}, `--tls: it is local or off, not "yes"; a certificate is given by tls.cert and tls.key`},
		{"upstream without format", env(), Flag{"--upstream", "upstream", "https://a.example/"}, `--upstream: FORMAT=URL is needed, not "https://a.example/"`},
		{"upstream of an unknown format", env(), Flag{"--upstream", "upstream", "pipy=https://a.example/"}, `--upstream: unknown format "pipy"; did you mean pypi?`},
		{"upstream that is none", env(), Flag{"--upstream", "upstream", "pypi=a.example"},
			`--upstream: "a.example" is not a URL that begins with http:// or https:// or file://`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load("", test.env, formats(), test.flag)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestVariablesInValues(t *testing.T) {
	c := load(t, "data: ${A}/${B}/$${C}/$D\nlimits: {downloads: \"${N}\"}\nrepositories:\n  p:\n    format: pypi\n    rules:\n    - latest: ${N}\n      dry-run: ${T}\n      why: ${A}\n",
		env("A", "/a", "B", "b: [", "N", "12", "T", "true"))
	if c.Data != "/a/b: [/${C}/$D" || c.Limits.Downloads != 12 {
		t.Errorf("data %q, downloads %d", c.Data, c.Limits.Downloads)
	}
}

func TestRelativePaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"c.pem", "k.pem"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "pond.yaml")
	if err := os.WriteFile(path, []byte("data: ~/pond\ntls: {cert: c.pem, key: k.pem}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, env(), formats())
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/home/miller/pond" || c.TLS.Cert != filepath.Join(dir, "c.pem") || c.TLS.Key != filepath.Join(dir, "k.pem") {
		t.Errorf("data %q, tls %+v", c.Data, c.TLS)
	}
}

// TestClaimsOfAFormat holds that a format with claims of its own reads them itself.
func TestClaimsOfAFormat(t *testing.T) {
	load(t, "repositories: {go: {format: golang, claims: ['git.acme.example/[ab]*']}}", env())
	if _, err := Load(write(t, "repositories: {p: {format: pypi, claims: ['acme-[ab]*']}}"), env(), formats()); err == nil {
		t.Error("a pattern that is none was taken")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(whole)
	f.Add("log: &a [*a]\nx: *b\n<<: {a: b}\n? [a]\n: b\n")
	f.Add("repositories: {p: {format: pypi, rules: [{hold: 7d}, {block: [x@<1]}], fill: {a: store}, upstreams: [https://a:b@c.example/]}}")
	f.Fuzz(func(t *testing.T, text string) {
		c := &Config{lines: map[string]int{}, over: map[string]string{}}
		defaults(reflect.ValueOf(c).Elem())
		errs := c.read("pond.yaml", []byte(text), env("OTHER_PASSWORD", "x"), formats())
		c.complete(env())
		errs = append(errs, c.check(formats())...)
		for _, err := range ordered(errs) {
			if err == nil || err.Error() == "" {
				t.Fatalf("an error without words: %#v", err)
			}
		}
		if len(errs) > 0 {
			return
		}
		if _, err := c.Repositories(formats()); err != nil {
			t.Fatalf("what was in order is not: %v", err)
		}
		again := rewritten(t, c)
		if a, b := fmt.Sprintf("%+v", comparable(c)), fmt.Sprintf("%+v", comparable(again)); a != b {
			t.Fatalf("written and read again it differs:\n%s\n%s", a, b)
		}
	})
}

var _ format.Claimer = claiming{}
var _ millpond.Grammar = words{}

func TestWarnings(t *testing.T) {
	c := load(t, `
repositories:
  p:
    format: pypi
    upstreams:
      - https://ci:hush@a.example/
      - http://ci:hush@b.example/
      - {url: "http://127.0.0.1:9/", token: hush}
      - {url: "https://d.example/", insecure: true}
      - {repository: q}
  q: {format: pypi, upstreams: "http://e.example/"}
`, env())
	want := "repository p: upstream http://…@b.example/: credentials go to it unencrypted\n" +
		"repository p: upstream https://d.example/: its certificate is not verified (insecure)"
	if got := strings.Join(c.Warnings(), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestDataWithoutAHome: who has no HOME, as under a service manager, has the data where their account says, and not wherever the
// program was started.
func TestDataWithoutAHome(t *testing.T) {
	c, err := Load("", func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		if !strings.Contains(err.Error(), "--data") {
			t.Errorf("without a home: %v; want it to say --data", err)
		}
		return
	}
	if !filepath.IsAbs(c.Data) {
		t.Errorf("without HOME the data is in %q, want a path that does not depend on where the program was started", c.Data)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1": "write 127.0.0.1:8080", "127.0.0.1:http": "a port is a number", ":70000": "a port is a number", "http://127.0.0.1:8080": "is not an address", "a b:80": "no host is called",
		"127.0.0.1:8080": "", ":8080": "", "[::1]:0": "", "pond.example:443": "",
	} {
		if got := badAddress(address); got != want && (want == "" || !strings.Contains(got, want)) {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

package config

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"millpond/policy"
)

// anything is an environment that has every variable.
func anything(string) (string, bool) { return "from-the-environment", true }

// rewritten is a configuration written and read again.
func rewritten(t *testing.T, c *Config) *Config {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	again := &Config{lines: map[string]int{}, over: map[string]string{}}
	defaults(reflect.ValueOf(again).Elem())
	errs := again.read("again.yaml", b.Bytes(), anything, formats())
	again.complete(anything)
	errs = append(errs, again.check(formats())...)
	if len(errs) > 0 {
		t.Fatalf("what was written cannot be read: %v\n%s", errs, b.String())
	}
	return again
}

// comparable is a configuration without where it was read, and without its secrets; nothing and the default are one.
func comparable(c *Config) Config {
	out := *c
	out.file, out.lines, out.over = "", nil, nil
	out.Adopting = false // a file that was written names its repositories
	out.Repos = nil
	if len(out.Read) == 0 {
		out.Read = nil
	}
	for _, r := range c.Repos {
		r.Upstreams = append([]Upstream(nil), r.Upstreams...)
		for i := range r.Upstreams {
			u := &r.Upstreams[i]
			u.From = ""
			for _, secret := range []*string{&u.Password, &u.Token} {
				if *secret != "" {
					*secret = "secret"
				}
			}
			headers := map[string]string{}
			for name := range u.Headers {
				headers[name] = "secret"
			}
			u.Headers = headers
			u.URL = strings.ToLower(redacted(u.URL))
		}
		if r.Merge == "hide" {
			r.Merge = ""
		}
		p, err := policy.Parse(r.Rules)
		if err != nil {
			panic(err)
		}
		r.Rules = []map[string]any{{"id": p.ID()}}
		out.Repos = append(out.Repos, r)
	}
	return out
}

func TestWriteReadsBack(t *testing.T) {
	for _, text := range []string{whole, "", "listen: 127.0.0.1:1\nlog: {level: debug}\nrepositories: {}",
		"data: 'a: #b \"c\" ${HOME} \\ é \u2028'\nrepositories:\n  'true': {format: pypi, json: 'on', fill: {'a-*': pass}}\n  '0': {format: npm, scope: \"@a\\n@b\"}\n"} {
		c := load(t, text, env("OTHER_PASSWORD", "hush"))
		got := comparable(rewritten(t, c))
		if want := comparable(c); !reflect.DeepEqual(got, want) {
			t.Errorf("written and read again\n got %+v\nwant %+v", got, want)
		}
	}
}

func TestWriteIsReadable(t *testing.T) {
	c := load(t, "data: /d\n", env())
	c.Repos[0].Upstreams = []Upstream{{URL: "https://upstream.example/simple/", From: "pip config get\nglobal.index-url"}}
	c.Repos[1].Upstreams = []Upstream{{URL: "https://upstream.example/npm/", Username: "ci", Password: "hush", From: "npm"}}
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n# The directory that everything is kept in. It is made if need be.\ndata: /d\n",
		"\n#listen: 127.0.0.1:8080\n", "\n#tls: local\n", "\n#limits:\n#  max_bytes: 0        # How much",
		"\n  pypi:\n    format: pypi\n    upstreams:\n      - https://upstream.example/simple/ # pip config get global.index-url\n",
		"\n      - url: https://upstream.example/npm/ # npm\n        username: ci\n        password: ${NPM_PASSWORD} # from the environment\n",
		"\n    #rules:\n    #  - hold: 7d\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	c.Repos[2].Rules = []map[string]any{{"except": []any{"x"}, "hold": "7d"}}
	var rules bytes.Buffer
	if err := Write(&rules, c); err != nil || !strings.Contains(rules.String(), "\n    rules:\n      - hold: 7d\n        except:\n        - x\n") {
		t.Errorf("a rule, %v:\n%s", err, rules.String())
	}
	if strings.Contains(b.String(), "hush") {
		t.Errorf("a password was written:\n%s", b.String())
	}
}

// TestHelp holds that every key is explained, with its default, and its variable if it has one.
func TestHelp(t *testing.T) {
	var b bytes.Buffer
	if err := Help(&b, formats()); err != nil {
		t.Fatal(err)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[Config](), reflect.TypeFor[TLS](), reflect.TypeFor[Limits](), reflect.TypeFor[Log](),
		reflect.TypeFor[Repository](), reflect.TypeFor[Upstream]()} {
		keys, err := keysOf(typ)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if k.comment == "" {
				t.Errorf("%v: %s has no comment", typ, k.name)
			}
			if !strings.Contains(b.String(), k.name+": "+k.words) {
				t.Errorf("%v: %s is not in the help", typ, k.name)
			}
		}
	}
	for _, key := range keysOver() {
		if !strings.Contains(b.String(), variable(key)) {
			t.Errorf("%s is not in the help", variable(key))
		}
	}
	for _, want := range []string{
		"listen: address · default 127.0.0.1:8080 · MILLPOND_LISTEN\n    Where the pond listens, host and port.",
		"limits.max_bytes: size · default 0 · MILLPOND_LIMITS_MAX_BYTES\n",
		"json: text · default ../pypi/\n    Where the JSON API is.\n", "- hold: 7d ", "until: 2026-12-01",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in the help:\n%s", want, b.String())
		}
	}
}

// TestHelpIsTrue loads the rules that the help shows.
func TestHelpIsTrue(t *testing.T) {
	var file strings.Builder
	file.WriteString("repositories:\n  p:\n    format: pypi\n    rules:\n")
	shown := 0
	for line := range strings.Lines(policy.Help()) {
		rule, said, found := strings.Cut(strings.TrimRight(line, "\n"), "   ") // the words stand apart
		if !strings.HasPrefix(rule, "  - ") {
			continue
		}
		shown++
		file.WriteString("    " + rule + "\n")
		if _, more, ok := strings.Cut(said, "or {"); found && ok {
			key, _, _ := strings.Cut(rule, ":")
			file.WriteString("    " + key + ": {" + more + "\n")
		}
	}
	if shown < 12 {
		t.Fatalf("the help shows %d rules:\n%s", shown, policy.Help())
	}
	load(t, file.String(), env())
}

package npm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

func TestSourceAsksForTheFullPackument(t *testing.T) {
	var got *http.Request
	up := newRemote(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Write(golden(t, "widget.json"))
	})
	p, err := Format{}.Source(up).Package(t.Context(), widget)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Versions) != 5 || p.Name != widget || len(p.Parts) != 1 {
		t.Errorf("got %d versions and %d parts of %s", len(p.Versions), len(p.Parts), p.Name)
	}
	if path := got.URL.EscapedPath(); path != "/registry/@acme%2fwidget" {
		t.Errorf("asked for %s", path)
	}
	if accept := got.Header.Get("Accept"); accept != "application/json" {
		t.Errorf("Accept: got %q", accept)
	}
}

func TestSourceSaysWhatIsWrong(t *testing.T) {
	answer := ""
	up := newRemote(t, func(w http.ResponseWriter, r *http.Request) {
		if answer == "" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, answer)
	})
	for _, c := range []struct {
		answer string
		kind   millpond.Kind
		words  string
	}{
		{"", millpond.NotFound, "404"},
		{"<html>", millpond.BadUpstream, "not a packument"},
		{`{"name":"y"}`, millpond.BadUpstream, `packument of "y"`},
		{`{"error":"x"}`, millpond.BadUpstream, "it has no name"},
		{`{"name":"x","ver`, millpond.BadUpstream, "not a packument"},
		{`{"name":"x","time":{"unpublished":{}}}`, millpond.NotFound, "unpublished"},
	} {
		answer = c.answer
		p, err := Format{}.Source(up).Package(t.Context(), "x")
		if err == nil || millpond.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%q: got %v, %v (%v); want %v with %q", c.answer, p, err, millpond.KindOf(err), c.kind, c.words)
		}
	}
}

type unchanged struct{ *remote }

func (u unchanged) Document(ctx context.Context, q format.Request) (*format.Document, error) {
	d, err := u.remote.Document(ctx, q)
	if err == nil {
		d.Unchanged = true
	}
	return d, err
}

func TestSourceReadsNothingUnchanged(t *testing.T) {
	up := newRemote(t, func(w http.ResponseWriter, r *http.Request) { w.Write(golden(t, "widget.json")) })
	if _, err := (Format{}).Source(unchanged{up}).Package(t.Context(), widget); !errors.Is(err, format.Unchanged) {
		t.Errorf("got %v, want %v", err, format.Unchanged)
	}
}

func TestSourceKeepsToItsScopes(t *testing.T) {
	up := newRemote(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "", http.StatusInternalServerError) })
	for _, c := range []struct {
		scope, name string
		want        bool
	}{
		{"", "@acme/x", true}, {" ", "x", true},
		{"@acme, @tools", "@acme/x", true}, {"@acme, @tools", "@tools/x", true}, {"@acme @tools", "@acm/x", false},
		{"@acme", "@acme-x/x", false}, {"@acme", "acme", false}, {"@acme", "@ACME/x", false},
		{"!@acme", "@acme/x", false}, {"!@acme", "x", true}, {"!@acme !@tools", "@tools/x", false}, {"!@acme", "@other/x", true},
	} {
		up.asked, up.options = nil, map[string]string{optScope: c.scope}
		_, err := Format{}.Source(up).Package(t.Context(), c.name)
		if asked := len(up.asked) > 0; asked != c.want {
			t.Errorf("scope %q: asked about %s %v, want %v", c.scope, c.name, asked, c.want)
		}
		if !c.want && !millpond.Is(err, millpond.NotFound) {
			t.Errorf("scope %q, %s: got %v, want not found", c.scope, c.name, err)
		}
	}
	up.options = map[string]string{optScope: "@acme"}
	if _, err := (Format{}).Source(up).Document(t.Context(), millpond.Key{Package: "x", Version: "1.0.0", File: docAttestations}); !millpond.Is(err, millpond.NotFound) {
		t.Errorf("attestations of x: got %v, want not found", err)
	}
}

func TestSourceLimit(t *testing.T) {
	for option, want := range map[string]int64{"": 256 << 20, "128": 128 << 20, "300 MiB": 300 << 20, "300MiB": 300 << 20, "127": 0, "x": 0, "-1": 0} {
		got, err := limitOf(option)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("limitOf(%q): got %d, %v; want %d", option, got, err, want)
		}
	}
}

func TestSourceReadsKeysAndAttestations(t *testing.T) {
	up := newRemote(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{}") })
	src := Format{}.Source(up)
	for k, want := range map[millpond.Key]string{
		{File: docKeys}: "-/npm/v1/keys",
		{Package: widget, Version: "2.0.0", File: docAttestations}: "-/npm/v1/attestations/@acme%2fwidget@2.0.0",
	} {
		up.asked = nil
		d, err := src.Document(t.Context(), k)
		if err != nil {
			t.Errorf("%v: %v", k, err)
			continue
		}
		d.Close()
		if len(up.asked) != 1 || up.asked[0] != want {
			t.Errorf("%v: asked for %q, want %q", k, up.asked, want)
		}
	}
	if _, err := src.Document(t.Context(), millpond.Key{Package: "x", File: "y"}); !millpond.Is(err, millpond.Unsupported) {
		t.Errorf("another document: got %v, want unsupported", err)
	}
}

func TestNewerGoesByTimeModified(t *testing.T) {
	at := func(modified string) *millpond.Package {
		return read(t, "x", fmt.Appendf(nil, `{"name":"x","versions":{},"time":{%s}}`, modified))
	}
	newer, ok := Format{}.Source(nil).(format.Newer)
	if !ok {
		t.Fatal("the source is no Newer")
	}
	for _, c := range []struct {
		name, kept, got string
		want            bool
	}{
		{"later", `"modified":"2024-01-01T00:00:00.000Z"`, `"modified":"2024-01-01T00:00:00.001Z"`, true},
		{"the same", `"modified":"2024-01-01T00:00:00.000Z"`, `"modified":"2024-01-01T00:00:00.000Z"`, true},
		{"the same elsewhere", `"modified":"2024-01-01T00:00:00.000Z"`, `"modified":"2024-01-01T01:00:00+01:00"`, true},
		{"earlier", `"modified":"2024-01-01T00:00:00.000Z"`, `"modified":"2023-12-31T23:59:59.999Z"`, false},
		{"earlier elsewhere", `"modified":"2024-01-01T00:00:00.000Z"`, `"modified":"2024-01-01T00:30:00+01:00"`, false},
		{"nothing kept says", ``, `"modified":"2024-01-01T00:00:00.000Z"`, true},
		{"nothing got says", `"modified":"2024-01-01T00:00:00.000Z"`, ``, true},
	} {
		if got := newer.Newer(at(c.kept), at(c.got)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestSniffWantsGzip(t *testing.T) {
	sniffer := Format{}.Source(&remote{name: "up"}).(format.Sniffer)
	if err := sniffer.Sniff(millpond.Key{}, []byte{0x1f, 0x8b, 8}); err != nil {
		t.Errorf("gzip: %v", err)
	}
	for _, head := range []string{"", "\x1f", "<!doctype html>", "PK"} {
		if err := sniffer.Sniff(millpond.Key{}, []byte(head)); !millpond.Is(err, millpond.BadUpstream) {
			t.Errorf("%q: got %v, want bad upstream", head, err)
		}
	}
}

// A machine answers commands from a table.
type machine struct {
	commands map[string]string
	files    map[string]string
	err      error
}

func (m machine) Run(_ context.Context, name string, args ...string) (string, error) {
	if m.err != nil {
		return "", m.err
	}
	out, ok := m.commands[strings.Join(append([]string{name}, args...), " ")]
	if !ok {
		return "", fmt.Errorf("%s %v: exit status 1", name, args)
	}
	return out, nil
}
func (m machine) Getenv(string) string { return "" }
func (m machine) ReadFile(path string) ([]byte, error) {
	if text, ok := m.files[path]; ok {
		return []byte(text), nil
	}
	return nil, errors.New("no such file")
}

func TestAdoptsWhatNpmReadsFrom(t *testing.T) {
	ask := Format{}.Info().Upstreams
	got, err := ask(t.Context(), machine{
		commands: map[string]string{
			"npm config get registry": "https://ci:s3cret@upstream.example/npm\n",
			"npm config list --json":  `{"registry":"https://upstream.example/npm","@tools:registry":"https://tools.example/","@acme:registry":"http://acme.example/r/","@bad:registry":7,"access":null}`,
		},
		files: map[string]string{"~/.npmrc": "//acme.example/r/:_authToken=abc\n; //tools.example/:_authToken=x\n"},
	})
	if err != nil {
		t.Fatal(err)
	}
	note := got[0].Note
	if !strings.Contains(note, "token") {
		t.Errorf("of a registry with a token: got note %q", note)
	}
	want := []format.Adopted{
		{URL: "http://acme.example/r/", From: "npm config list --json (@acme:registry)", Options: map[string]string{optScope: "@acme"}, Note: note},
		{URL: "https://tools.example/", From: "npm config list --json (@tools:registry)", Options: map[string]string{optScope: "@tools"}},
		{URL: "https://upstream.example/npm/", From: "npm config get registry", Username: "ci", Password: "s3cret",
			Options: map[string]string{optScope: "!@acme !@tools"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestAdoptsNothingWithoutNpm(t *testing.T) {
	got, err := Format{}.Info().Upstreams(t.Context(), machine{err: &exec.Error{Name: "npm", Err: exec.ErrNotFound}})
	if len(got) != 0 || err != nil {
		t.Errorf("got %v, %v; want nothing", got, err)
	}
	if _, err := (Format{}).Info().Upstreams(t.Context(), machine{}); err == nil {
		t.Error("npm fails: got no error")
	}
}

func TestSetUpNamesTheRepository(t *testing.T) {
	base, err := url.Parse("http://pond.example:8080/npm/")
	if err != nil {
		t.Fatal(err)
	}
	clients := map[string]bool{}
	for _, s := range (Format{}).Info().SetUp(base) {
		clients[s.Client] = true
		if !strings.Contains(s.Text, base.String()) {
			t.Errorf("%s: %q does not name %s", s.Client, s.Text, base)
		}
		if s.Client == "yarn 4" && !strings.Contains(s.Text, "unsafeHttpWhitelist:\n  - \"pond.example\"") {
			t.Errorf("yarn 4 over http: %q", s.Text)
		}
	}
	for _, client := range []string{"npm", "pnpm", "yarn 4", "yarn 1", "bun"} {
		if !clients[client] {
			t.Errorf("no set-up for %s", client)
		}
	}
}

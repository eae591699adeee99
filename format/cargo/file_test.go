package cargo

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/format"
	"millpond/format/formattest"
	"millpond/repo"
)

// packaged is a Cargo.toml as cargo package writes it, of the crate whose publish by cargo is the golden line.
const packaged = `[package]
edition = "2021"
rust-version = "1.70"
name = "Acme-Tools"
version = "1.2.3-rc.1+b"
links = "z"

[features]
default = ["std"]
std = []
net = ["dep:theirs"]
weak = ["theirs?/x"]

[dependencies.plain]
version = "^1, <1.5"

[dev-dependencies.ours]
version = "*"
default-features = false

[dev-dependencies.of-the-workspace]
path = "../x"

[build-dependencies.theirs]
version = ">=2"
features = ["x"]
optional = true
default-features = false
registry-index = "sparse+https://other.example/index/"

[target."cfg(unix)".dependencies.nick]
version = "=3.0.0"
default-features = false
package = "real-name"
`

// TestManifestOfAFile: a .crate's own Cargo.toml gives the line that cargo publish gives.
func TestManifestOfAFile(t *testing.T) {
	m, err := manifestOf(packaged)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	got, err := m.line(millpond.SHA256(nil), time.Date(2026, 11, 21, 8, 3, 12, 0, time.UTC), "")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/line.json")
	if err != nil {
		t.Fatal(err)
	}
	if got+"\n" != string(want) {
		t.Errorf("the line is\n%s\nwant\n%s", got, want)
	}
	if m, err := manifestOf("[package]\nname='a'\nversion='1.0.0'\n[dependencies]\nb = '2'\n"); err != nil || len(m.Deps) != 1 || m.Deps[0].Requirement != "^2" || !m.Deps[0].DefaultFeatures {
		t.Errorf("a short dependency is read as %+v, %v", m, err)
	}
	for _, bad := range []string{"[package", "[package]\nname=1\n", "[dependencies]\na = 1\n", "[dependencies]\na = {features=[1]}\n"} {
		if m, err := manifestOf(bad); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("manifestOf(%q) = %+v, %v; want that it is invalid", bad, m, err)
		}
	}
}

func TestSpelt(t *testing.T) {
	for requirement, want := range map[string]string{"1.2": "^1.2", "": "*", "*": "*", "1.*": "1.*", ">=1, <2": ">=1, <2", " 1 ,=1.5": "^1, =1.5", "~1": "~1"} {
		if got := spelt(requirement); got != want {
			t.Errorf("spelt(%q) = %q, want %q", requirement, got, want)
		}
	}
}

func TestCutFileName(t *testing.T) {
	for file, want := range map[string]string{
		"serde-1.0.0.crate": "serde 1.0.0", "a-2-b-1.0.0-rc.1+x.crate": "a-2-b 1.0.0-rc.1+x", "x_y-0.1.0.crate": "x_y 0.1.0",
		"serde.crate": " ", "serde-1.0.crate": " ", "serde-1.0.0.tgz": " ", "": " ", "-1.0.0.crate": " ",
	} {
		name, version, _ := cutFileName(file)
		if got := name + " " + version; got != want {
			t.Errorf("cutFileName(%q) = %q, want %q", file, got, want)
		}
	}
}

// TestPublishFile: a .crate is published as cargo would have; the same again is no change; what is not called or not made like
// one is refused, and leaves nothing.
func TestPublishFile(t *testing.T) {
	h := formattest.New(t, ecosystem)
	to := h.As(formattest.Owner).Repo()
	publish := func(name string, body []byte) (*format.Published, error) {
		return Format{}.PublishFile(t.Context(), to, format.PublishedFile{Name: name, Size: int64(len(body)), Body: bytes.NewReader(body)})
	}
	r := formattest.Release{Version: "1.0.0"}
	good := crateOf("alpha", r)
	for name, body := range map[string][]byte{
		"alpha.crate": good, "beta-1.0.0.crate": good, "alpha-1.0.1.crate": good, "alpha-1.0.0.crate": good[:len(good)/2], "nul-1.0.0.crate": crateOf("nul", r),
	} {
		if _, err := publish(name, body); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("%s: got %v, want that it is invalid", name, err)
		}
	}
	if _, err := publish("alpha-1.0.0.crate", make([]byte, 11<<20)); !millpond.Is(err, millpond.TooLarge) {
		t.Errorf("11 MiB: got %v, want that it is too large", err)
	}
	if kept := h.Kept(); kept != 0 {
		t.Errorf("%d blobs are kept of what was refused", kept)
	}
	for _, first := range []bool{true, false} {
		done, err := publish("alpha-1.0.0.crate", good)
		if err != nil || done.New != first || done.Key != (millpond.Key{Package: "alpha", Version: "1.0.0", File: "alpha-1.0.0.crate"}) {
			t.Errorf("publish: got %+v, %v; want it new: %t", done, err, first)
		}
	}
	h.Shows("published", h.Good("published", h.Index("alpha"), nil), "1.0.0", true)
	h.Good("published", h.File("alpha", r), good)
	reader := h.Pond.Repository("r").For(repo.Caller{})
	_, err := Format{}.PublishFile(t.Context(), reader, format.PublishedFile{Name: "beta-1.0.0.crate", Size: 3, Body: strings.NewReader("abc")})
	if !millpond.Is(err, millpond.Unauthenticated) && !millpond.Is(err, millpond.Denied) {
		t.Errorf("nobody publishes: got %v", err)
	}
}

package debian

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond/format/formattest"
)

// TestCase29Verbatim: setup.sources of an upstream's suite, which is served as it was signed, has the keyring of its archive and not
// the repository's key, and asks by hash where the archive's Release does not say so: apt takes it as it is printed.
func TestCase29Verbatim(t *testing.T) {
	t.Parallel()
	key := aKey(t, "upstream")
	armor, err := key.public(true)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		byHash  bool
		keyring string
		want    []string
		lacks   []string
	}{
		"an archive that keeps indexes by hash": {true, string(armor), []string{"Signed-By:\n -----BEGIN PGP"}, []string{"By-Hash"}},
		"an archive that does not":              {false, string(armor), []string{"By-Hash: force\n", "Signed-By:\n -----BEGIN PGP"}, nil},
		"keys that lie in files":                {true, "/usr/share/keyrings/a.gpg /usr/share/keyrings/b.gpg", []string{"Signed-By: /usr/share/keyrings/a.gpg /usr/share/keyrings/b.gpg\n"}, []string{"BEGIN"}},
		"keys that nobody named":                {true, "", []string{"Suites: stable\nComponents: main\n"}, []string{"Signed-By"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, a := house(t, map[string]string{"keyring": c.keyring})
			h.Pass(-48 * time.Hour) // apt has a clock of its own
			a.Key, a.ByHash = key, c.byHash
			a.Set(helloPath, deb(t, "hello", "1.0", "amd64", "", 0))
			a.Lay(t, h.Now().AddDate(0, -1, 0))
			source := string(good(t, h, "/setup.sources?suite=stable", nil).Body)
			for _, want := range c.want {
				if !strings.Contains(source, want) {
					t.Errorf("the source lacks %q:\n%s", want, source)
				}
			}
			for _, lacks := range c.lacks {
				if strings.Contains(source, lacks) {
					t.Errorf("the source has %q:\n%s", lacks, source)
				}
			}
			if !strings.Contains(c.keyring, "BEGIN") {
				return
			}
			root := newAPT(t, "")
			root.write("etc/apt/sources.list.d/pond.sources", source)
			root.must("update")
			if !c.byHash {
				return
			}
			root.must("install", "hello")
			h.Up.Order("*", "always 500")
			h.Want("a suite of which nothing is known", h.Get("/setup.sources?suite=other"), http.StatusServiceUnavailable)
		})
	}
	h, a := house(t, nil)
	a.extra = map[string][]byte{"tools/binary-amd64/Packages": []byte("\n")}
	for path, o := range a.Objects(t, formattest.Epoch().AddDate(0, -1, 0)) {
		o.Body = []byte(strings.Replace(string(o.Body), "Components: main\n", "Components: tools more\n", 1))
		h.Up.Put(path, o)
	}
	if source := string(good(t, h, "/setup.sources?suite=stable", nil).Body); !strings.Contains(source, "Components: tools more\n") {
		t.Errorf("of a suite without a component main the source is\n%s", source)
	}
	if source := string(good(t, h, "/setup.sources?suite=stable&component=more", nil).Body); !strings.Contains(source, "Components: more\n") {
		t.Errorf("of a component that was chosen the source is\n%s", source)
	}
	if source := fmt.Sprint(good(t, h, "/setup.sources?suite=ours", nil)); !strings.Contains(source, "BEGIN PGP") {
		t.Errorf("of a suite that is not here yet the source is\n%s", source)
	}
}

package npm

import (
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestFilesOfOneNameInTwoLayers: an upstream that calls the file of another version as one is called that was published here, or
// that an upstream before it has, does not take its place where both are shown.
func TestFilesOfOneNameInTwoLayers(t *testing.T) {
	second := faulty.New(t)
	h := formattest.New(t, ecosystem)
	c := h.Config("r", h.Up, second)
	c.Union = true
	h.Configure(repo.Settings{}, c)
	one, other := formattest.Release{Version: "1.0.0"}, formattest.Release{Version: "2.0.0", Variant: 3}
	h.Published("ours", ecosystem.Publish(h.As(formattest.Owner), "widget", one))
	for _, up := range []struct {
		at   *faulty.Server
		name string
	}{{h.Up, "widget"}, {second, "gadget"}} {
		file := up.name + "/-/" + standardFile(up.name, "1.0.0")
		up.at.Put(root+up.name, faulty.Object{Type: "application/json", Body: fmt.Appendf(nil,
			`{"name":%[1]q,"dist-tags":{"latest":"2.0.0"},"versions":{"2.0.0":{"name":%[1]q,"version":"2.0.0","dist":{"tarball":%[2]q,"integrity":%[3]q}}}}`,
			up.name, up.at.URL+root+file, hashed(tarball(up.name, other)))})
		up.at.Put(root+file, faulty.Object{Body: tarball(up.name, other), Type: "application/octet-stream"})
	}
	h.Good("gadget's file while nobody else has it", h.Get("/gadget/-/gadget-1.0.0.tgz"), tarball("gadget", other)) // which is held from now on
	putPackage(h.Up, "gadget", one)
	h.Pass(10 * time.Minute)
	for range 2 {
		for _, name := range []string{"widget", "gadget"} {
			for _, version := range []string{"1.0.0", "2.0.0"} {
				h.Shows(name, h.Good(name, h.Do("GET", "/r/"+name, ecosystem.Header), nil), version, true)
			}
			file := "/" + tarballPath(name, standardFile(name, "1.0.0"))
			wanted := http.Header{"Pacote-Integrity": {hashed(tarball(name, one))}}
			h.Good(name+"'s first file, whose hash the client knows", h.Do("GET", "/r"+file, wanted), tarball(name, one))
			h.Good(name+"'s first file, asked about", h.Do("HEAD", "/r"+file, wanted), []byte{})
			h.Good(name+"'s first file", h.Get(file), tarball(name, one))
		}
		h.Pass(time.Minute)
	}
}

// hashed is the integrity of bytes.
func hashed(b []byte) string {
	sum := sha512.Sum512(b)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// TestKeysUnderAnAllowance: the registry's keys are of no package, and rules that name packages do not keep them back.
func TestKeysUnderAnAllowance(t *testing.T) {
	h := formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"allow": []any{"widget"}}))
	h.Up.Put(root+"-/npm/v1/keys", keysObject())
	h.Good("keys", h.Get("/-/npm/v1/keys"), keysObject().Body)
	putPackage(h.Up, "gadget", formattest.Release{Version: "1.0.0"})
	h.Want("another package", h.Get("/gadget"), http.StatusForbidden)
}

// TestSearchLooksSideBySide: what a search finds is looked up several at a time, and the request's notes are not written by them all.
func TestSearchLooksSideBySide(t *testing.T) {
	h := formattest.New(t, ecosystem)
	var objects []string
	for i := range 8 {
		name := fmt.Sprintf("pkg-%d", i)
		ecosystem.Put(h.Up, name, formattest.Release{Version: "1.0.0"})
		objects = append(objects, fmt.Sprintf(`{"package":{"name":%q,"version":"1.0.0"}}`, name))
	}
	h.Up.Put(root+"-/v1/search", faulty.Object{Type: "application/json", Body: fmt.Appendf(nil, `{"objects":[%s],"total":8}`, strings.Join(objects, ","))})
	if got := h.Good("search", h.Get("/-/v1/search?text=pkg"), nil); strings.Count(string(got.Body), `"package"`) != 8 {
		t.Errorf("got %s, want all eight", got.Body)
	}
}

package debian

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millpond/format/formattest"
	"millpond/repo"
)

// publishInto publishes a package into stable, and returns the Release and the index that a client reads then.
func publishInto(t *testing.T, h *formattest.House, name, version string) (release, index []byte) {
	t.Helper()
	h.Published("publish", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, deb(t, name, version, "amd64", "", 0)))
	return good(t, h, inRelease, nil).Body, good(t, h, packages, nil).Body
}

// TestMadeHistory: the Releases of a hosted suite have rising dates, whatever the clock does; older ones are found by time, and
// their indexes by hash, also after a restart; and so many are kept, and all that were current lately.
func TestMadeHistory(t *testing.T) {
	h, _ := house(t, nil)
	type was struct{ release, index []byte }
	var all []was
	for n := range 4 {
		release, index := publishInto(t, h, "hello", fmt.Sprintf("1.%d", n))
		all = append(all, was{release, index})
		if n > 0 && !dateOf(t, release).After(dateOf(t, all[n-1].release)) {
			t.Errorf("the Release %d is of %v, the one before of %v", n, dateOf(t, release), dateOf(t, all[n-1].release))
		}
		h.Pass(time.Minute)
	}
	h.Restart()
	good(t, h, inRelease, all[3].release)
	for n, one := range all {
		at := "/snapshot/" + dateOf(t, one.release).Add(30*time.Second).Format(snapshotTime)
		good(t, h, at+inRelease, one.release)
		good(t, h, at+packages, one.index)
		good(t, h, "/dists/stable/main/binary-amd64/by-hash/SHA256/"+hexSHA(one.index), one.index)
		good(t, h, at+"/"+poolFile("stable", "main", "hello", fmt.Sprintf("hello_1.%d_amd64.deb", n)), nil)
	}
	h.Want("before all", h.Get("/snapshot/20200101T000000Z"+inRelease), http.StatusNotFound)

	// A Release that says the same is the same: what is published elsewhere makes no new one, nor does time.
	h.Published("elsewhere", h.As(formattest.Owner).Do("PUT", "/pool/testing/main/x.deb", nil, deb(t, "other", "1", "amd64", "", 0)))
	h.Pass(5 * time.Hour)
	good(t, h, inRelease, all[3].release)
}

// TestSnapshots: a Release of our own says where its snapshots are, if it is told; at that address, with a time in the place that apt
// puts it, is what the suite was then.
func TestSnapshots(t *testing.T) {
	h, _ := house(t, nil)
	first, index := publishInto(t, h, "hello", "1.0")
	if strings.Contains(string(first), "Snapshots:") {
		t.Errorf("nobody said where they are:\n%s", first)
	}
	h.Pass(time.Minute)
	at := h.URL + "/r/snapshot/" + snapshotID + "/"
	h.Configure(repo.Settings{}, with(h, map[string]string{"snapshots": at}))
	second, _ := publishInto(t, h, "hello", "2.0")
	field := ""
	for line := range strings.Lines(string(second)) {
		if value, ok := strings.CutPrefix(line, "Snapshots: "); ok {
			field = strings.TrimSpace(value)
		}
	}
	if field != at {
		t.Fatalf("the Release says %q, want %q:\n%s", field, at, second)
	}
	below := strings.TrimPrefix(strings.Replace(field, snapshotID, dateOf(t, first).Format(snapshotTime), 1), h.URL+"/r")
	good(t, h, strings.TrimSuffix(below, "/")+inRelease, first)
	good(t, h, strings.TrimSuffix(below, "/")+packages, index)
	for _, wrong := range []string{"https://pond.example/", "nowhere/" + snapshotID, "https://pond.example/" + snapshotID + "\nEvil: 1"} {
		h.Configure(repo.Settings{}, with(h, map[string]string{"snapshots": wrong}))
		h.Want(wrong, h.Get(inRelease), http.StatusServiceUnavailable)
	}
}

// TestMadeLingers: of very many Releases the last ones are kept, and all that were current within minutes; the clock does not
// outrun apt's patience.
func TestMadeLingers(t *testing.T) {
	h, _ := house(t, nil)
	var indexes [][]byte
	read := func(n int) []byte {
		_, index := publishInto(t, h, "hello", fmt.Sprintf("1.%d", n))
		return index
	}
	first := read(0)
	h.Pass(time.Hour)
	for n := range keptForms + 6 {
		indexes = append(indexes, read(n+1))
		h.Pass(time.Second)
	}
	byHash := func(b []byte) string { return "/dists/stable/main/binary-amd64/by-hash/SHA256/" + hexSHA(b) }
	for _, b := range append([][]byte{first}, indexes...) {
		good(t, h, byHash(b), b)
	}
	h.Pass(lingerFor + time.Second)
	read(99)
	h.Want("current long ago", h.Get(byHash(first)), http.StatusNotFound)
	for _, b := range indexes[len(indexes)-keptForms:] {
		good(t, h, byHash(b), b)
	}
}

// TestCase27Rollback: a suite that is taken back shows what it listed then, under a later date, to apt that has read a newer
// one; what is published meanwhile shows when it is let go.
func TestCase27Rollback(t *testing.T) {
	h, _ := house(t, nil)
	h.Pass(-48 * time.Hour)
	owner := h.As(formattest.Owner)
	_, old := publishInto(t, h, "hello", "1.0")
	then := h.Now()
	h.Pass(time.Minute)
	root := newAPT(t, "")
	publishInto(t, h, "hello", "2.0")
	root.write("etc/apt/sources.list.d/pond.sources", string(good(t, h, "/setup.sources", nil).Body))
	root.must("update")
	candidate := func(want string) {
		t.Helper()
		root.must("update")
		cmd := exec.Command("apt-cache", "policy", "hello")
		cmd.Env = append(os.Environ(), "APT_CONFIG="+root.config, "LC_ALL=C")
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), "Candidate: "+want+"\n") {
			t.Errorf("apt would install, %v, want %s:\n%s", err, want, out)
		}
	}
	candidate("2.0")
	back := "Snapshot: " + then.Format(snapshotTime) + "\n"
	for who, status := range map[string]int{"": 401, formattest.Reader: 403} {
		h.Want("rolled back by "+who, h.As(who).Do("PUT", "/dists/stable/Release", nil, []byte(back)), status)
	}
	h.Want("to before there was anything", owner.Do("PUT", "/dists/stable/Release", nil, []byte("Snapshot: 20200101T000000Z\n")), 404)
	h.Published("roll back", owner.Do("PUT", "/dists/stable/Release", nil, []byte(back)))
	h.Pass(time.Second)
	good(t, h, packages, old)
	candidate("1.0")
	_, index := publishInto(t, h, "other", "1")
	if !bytes.Equal(index, old) {
		t.Errorf("what is published into a suite that was rolled back shows:\n%s", index)
	}
	h.Pass(time.Minute)
	h.Published("let go", owner.Do("PUT", "/dists/stable/Release", nil, []byte("Snapshot:\n")))
	if index := good(t, h, packages, nil).Body; !strings.Contains(string(index), "Version: 2.0\n") || !strings.Contains(string(index), "Package: other\n") {
		t.Errorf("the suite was let go, and the index is\n%s", index)
	}
	candidate("2.0")
}

// TestValidUntil: a Release that is good for a time is signed anew, with the same indexes, before half of it has passed.
func TestValidUntil(t *testing.T) {
	h, _ := house(t, map[string]string{"valid": "7d"})
	release, index := publishInto(t, h, "hello", "1.0")
	for range 20 {
		h.Pass(24 * time.Hour)
		now := good(t, h, inRelease, nil).Body
		text, _, _, err := splitSigned(now)
		if err != nil {
			t.Fatal(err)
		}
		r, err := parseRelease(text)
		if err != nil || r.ValidUntil.Sub(h.Now()) < 3*24*time.Hour || r.ValidUntil.Sub(r.Date) != 7*24*time.Hour {
			t.Errorf("on %v the Release of %v is good until %v, %v", h.Now(), r.Date, r.ValidUntil, err)
		}
		good(t, h, packages, index)
		if bytes.Equal(now, release) && h.Now().Sub(r.Date) > 4*24*time.Hour {
			t.Errorf("on %v the Release is still that of %v", h.Now(), r.Date)
		}
		release = now
	}
	h.Configure(repo.Settings{}, with(h, map[string]string{"valid": "soon"}))
	h.Want("a time that is none", h.Get(inRelease), http.StatusServiceUnavailable)
}

// with is the house's repository with these options.
func with(h *formattest.House, options map[string]string) repo.Config {
	c := h.Config("r", h.Up)
	c.Options = options
	return c
}

// TestCase27Rotation: while two keys sign, clients that know either take the Release, and setup.sources gives both; a key that
// is lost is missed, and nothing is published or signed by another in its place.
func TestCase27Rotation(t *testing.T) {
	gpgv, err := exec.LookPath("gpgv")
	if err != nil {
		t.Skip("gpgv is not installed")
	}
	h, _ := house(t, nil)
	h.Pass(-48 * time.Hour)
	publishInto(t, h, "hello", "1.0")
	dir := t.TempDir()
	ring := func(name string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, good(t, h, "/key.gpg", nil).Body, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	takes := func(ring string) bool {
		file := filepath.Join(dir, "InRelease")
		if err := os.WriteFile(file, good(t, h, inRelease, nil).Body, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(gpgv, "--status-fd", "1", "--keyring", ring, file).CombinedOutput()
		return err == nil || strings.Contains(string(out), "GOODSIG") // apt takes one that it knows
	}
	old := ring("old")
	h.Configure(repo.Settings{}, with(h, map[string]string{"signing_keys": "1 2"}))
	both := ring("both")
	if !takes(old) || !takes(both) {
		t.Error("while two keys sign, the Release is not taken by one of them")
	}
	root := newAPT(t, "")
	root.write("etc/apt/sources.list.d/pond.sources", string(good(t, h, "/setup.sources", nil).Body))
	root.must("update")
	h.Configure(repo.Settings{}, with(h, map[string]string{"signing_keys": "2"}))
	h.Pass(time.Second)
	second := ring("second")
	if takes(old) || !takes(second) || !takes(both) {
		t.Errorf("when the second alone signs: old %v, second %v, both %v", takes(old), takes(second), takes(both))
	}
	root.must("update")
	root.must("install", "hello")

	// The key is lost: what is kept is served, nothing is signed by another.
	last := good(t, h, inRelease, nil)
	h.LoseSecrets()
	h.Restart()
	h.Want("publish without the key", h.As(formattest.Owner).Do("PUT", "/pool/stable/main/x.deb", nil, deb(t, "xx", "1", "amd64", "", 0)), http.StatusServiceUnavailable)
	good(t, h, inRelease, last.Body)
	h.Configure(repo.Settings{}, with(h, nil))
	h.Want("publish into another suite without the first key", h.As(formattest.Owner).Do("PUT", "/pool/other/main/x.deb", nil, deb(t, "xx", "1", "amd64", "", 0)), http.StatusServiceUnavailable)
	h.Configure(repo.Settings{}, with(h, map[string]string{"signing_keys": "2"}))
	h.Want("the key", h.Get("/key.gpg"), http.StatusServiceUnavailable)
}

// TestPinClients: a client that asks by path has the indexes of the Release that it was given, of an upstream's suite and of
// one of our own, while another has those of now; after a while it has them too.
func TestPinClients(t *testing.T) {
	h, a := stocked(t, map[string]string{"pin_clients": "120s"})
	n := 0
	next := func() {
		n++
		a.Set(fmt.Sprintf("pool/main/h/hello/hello_2.%d_amd64.deb", n), deb(t, "hello", fmt.Sprintf("2.%d", n), "amd64", "", 0))
		a.Lay(t, h.Now().Add(-time.Hour))
		h.Pass(61 * time.Second)
		h.Published("publish", h.As(formattest.Owner).Do("PUT", "/pool/own/main/x.deb", nil, deb(t, "ours", fmt.Sprintf("2.%d", n), "amd64", "", 0)))
	}
	next()
	pinned := h.As(formattest.Reader)
	for _, suite := range []string{"stable", "own"} {
		get := func(c formattest.Client, path string) string {
			t.Helper()
			return string(h.Good(path, c.Do("GET", "/dists/"+suite+"/"+path, nil, nil), nil).Body)
		}
		for range 2 {
			release := get(pinned, "InRelease")
			index := get(pinned, amd64)
			next()
			if now := get(h.As(""), amd64); now == index || !strings.Contains(get(h.As(""), "InRelease"), hexSHA([]byte(now))) {
				t.Errorf("%s: another client has the index of before", suite)
			}
			if now := get(pinned, amd64); now != index || !strings.Contains(release, hexSHA([]byte(now))) {
				t.Errorf("%s: a client that was given a Release has another index:\n%s", suite, now)
			}
		}
		h.Pass(121 * time.Second)
		if now := get(pinned, amd64); now != get(h.As(""), amd64) {
			t.Errorf("%s: after the time the client still has the index of before:\n%s", suite, now)
		}
	}
	h.Configure(repo.Settings{}, with(h, map[string]string{"pin_clients": "a while"}))
	h.Want("a time that is none", h.Get(inRelease), http.StatusServiceUnavailable)
}

package rubygems

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// TestCase02TheListIsMadeAnew: an upstream that compacts its list costs clients nothing, and one that lags, or gives half a line,
// is not believed.
func TestCase02TheListIsMadeAnew(t *testing.T) {
	h := formattest.New(t, ecosystem)
	old := formattest.Epoch().AddDate(-1, 0, 0)
	one, two := formattest.Release{Version: "1.0.0", Published: old}, formattest.Release{Version: "1.1.0", Published: old}
	for _, name := range []string{"alpha", "beta"} {
		putGem(h.Up, name, one)
	}
	line := func(name string) string {
		stock.Lock()
		defer stock.Unlock()
		return stock.of[h.Up][name]
	}
	f := &follower{t: t, h: h}
	f.sync()
	next := func(what, text string, unchanged bool) {
		t.Helper()
		putText(h.Up, "versions", text)
		h.Pass(time.Hour)
		was := len(f.text)
		f.sync()
		if (len(f.text) == was) != unchanged {
			t.Errorf("%s: the client's copy grew from %d to %d bytes: %q", what, was, len(f.text), f.text[was:])
		}
	}
	head := func(day string) string { return "created_at: 2026-11-" + day + "T00:00:00Z\n---\n" }
	next("compacted, in another order", head("02")+line("beta")+line("alpha"), true)
	putGem(h.Up, "alpha", one, two)
	putGem(h.Up, "gamma", one)
	next("compacted, and grown", head("03")+line("gamma")+line("beta")+line("alpha"), false)
	next("an older copy", head("02")+line("beta"), true)
	whole := head("04") + line("alpha") + line("beta") + line("gamma")
	next("back", whole, true)
	putGem(h.Up, "delta", one)
	text := whole + line("delta")
	h.Up.Put(root+"versions", faulty.Object{Body: []byte(text[:len(text)-20]), Type: "text/plain"}) // ends within an md5, and no tag tells
	h.Pass(time.Hour)
	f.sync()
	if strings.Contains(string(f.text), "delta") {
		t.Errorf("half a line was believed: %q", f.text)
	}
	h.Up.Put(root+"versions", faulty.Object{Body: []byte(text), Type: "text/plain"})
	h.Pass(time.Hour)
	f.sync()
	for _, name := range []string{"alpha", "beta", "gamma", "delta"} {
		f.agrees(name)
	}
	if versions, _ := f.read("alpha"); strings.Join(versions, " ") != "1.0.0 1.1.0" {
		t.Errorf("alpha has %q, want 1.0.0 and 1.1.0", versions)
	}
	if f.whole != 1 {
		t.Errorf("the text was given whole %d times, want once", f.whole)
	}
}

// TestCase06LinesWithoutDates: what an upstream of the first form says goes through as it came, unknown words too; a hold counts
// from when a version was first seen here.
func TestCase06LinesWithoutDates(t *testing.T) {
	h := formattest.New(t, ecosystem, formattest.Rules(t, map[string]any{"hold": "7d"}))
	putGem(h.Up, "alpha", formattest.Release{Version: "1.0.0"}) // no date: no created_at
	gem := gemBytes("alpha", formattest.Release{Version: "1.0.0"})
	spec, err := readMetadata(bytes.NewReader(gem))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(gem)
	info := "---\n" + spec.line(hex.EncodeToString(sum[:]), time.Time{}) + ",mystery:of= later & more\n"
	stockLine := "alpha 1.0.0 " + putText(h.Up, "info/alpha", info) + "\n"
	putText(h.Up, "versions", "created_at: 2026-11-01T00:00:00Z\n---\n"+stockLine)
	h.Good("held", h.Get("/info/alpha"), []byte("---\n"))
	h.Pass(6 * 24 * time.Hour)
	h.Good("six days later", h.Get("/info/alpha"), []byte("---\n"))
	h.Want("its gem", h.Get("/gems/alpha-1.0.0.gem"), http.StatusForbidden)
	h.Pass(25 * time.Hour)
	h.Good("a week after it was seen", h.Get("/info/alpha"), []byte(info))
	f := &follower{t: t, h: h}
	f.sync()
	f.agrees("alpha")
}

// TestCase10LargeGem: a push of a large gem takes as little memory as one of a small one.
func TestCase10LargeGem(t *testing.T) {
	size := int64(48 << 20)
	if os.Getenv("MILLPONDTEST_LONG") != "" {
		size = 500 << 20
	}
	p, err := openGems(context.Background(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.t = t
	defer p.end()
	in, out := io.Pipe()
	go func() { out.CloseWithError(largeGem(out, size)) }()
	r := httptest.NewRequest(http.MethodPost, "/api/v1/gems", in)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := httptest.NewRecorder()
	Format{}.Handler(p.pond.Repository("r").For(repo.Caller{Actor: millpond.Actor{Name: "owner"}, Rights: everything{}})).ServeHTTP(w, r)
	runtime.ReadMemStats(&after)
	if w.Code != http.StatusOK {
		t.Fatalf("push: %d %s", w.Code, w.Body)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
		t.Errorf("the push of %d MiB took %d KiB of memory altogether, want less than 8 MiB", size>>20, took>>10)
	}
}

// largeGem writes a gem whose data is so large, in files that are not packed.
func largeGem(to io.Writer, size int64) error {
	meta := zipped(metadata("large", "1.0.0", ""))
	const file = 1 << 20
	block := make([]byte, file)
	data := func(w io.Writer) error {
		z, err := gzip.NewWriterLevel(w, gzip.NoCompression)
		if err != nil {
			return err
		}
		t := tar.NewWriter(z)
		for range size / file {
			if err := t.WriteHeader(&tar.Header{Name: "lib/large.rb", Mode: 0o644, Size: file, Typeflag: tar.TypeReg}); err != nil {
				return err
			}
			if _, err := t.Write(block); err != nil {
				return err
			}
		}
		if err := t.Close(); err != nil {
			return err
		}
		return z.Close()
	}
	var long counted
	if err := data(&long); err != nil {
		return err
	}
	t := tar.NewWriter(to)
	for _, one := range []struct {
		name  string
		size  int64
		write func(io.Writer) error
	}{
		{"metadata.gz", int64(len(meta)), func(w io.Writer) error { _, err := w.Write(meta); return err }},
		{"data.tar.gz", int64(long), data},
	} {
		if err := t.WriteHeader(&tar.Header{Name: one.name, Mode: 0o444, Size: one.size, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if err := one.write(t); err != nil {
			return err
		}
	}
	return t.Close()
}

// counted counts what is written to it.
type counted int64

func (c *counted) Write(b []byte) (int, error) {
	*c += counted(len(b))
	return len(b), nil
}

// TestUnreadableLine: a line of an info that says nothing which can be read is no reason to tell clients less than there is: the
// whole text is refused, what is kept goes on, and with nothing kept clients are told to come again. Words about a version that
// nobody here knows are none of that, and go through as they are.
func TestUnreadableLine(t *testing.T) {
	sum := strings.Repeat("0123456789abcdef", 4)
	for name, line := range map[string]string{
		"no version":    "|checksum:" + sum,
		"no words":      "2.0.0",
		"no checksum":   "2.0.0 |checksum:12",
		"another twice": "1.0.0 |checksum:" + sum,
	} {
		for kept, status := range map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable} {
			h := formattest.New(t, ecosystem)
			putGem(h.Up, "alpha", formattest.Release{Version: "1.0.0"})
			var before []byte
			if kept {
				before = h.Good(name, h.Get("/info/alpha"), nil).Body
			}
			putText(h.Up, "info/alpha", "---\n1.0.0 |checksum:"+sum+"\n"+line+"\n3.0.0 |checksum:"+sum+"\n")
			h.Pass(time.Hour)
			got := h.Want(name, h.Get("/info/alpha"), status)
			if kept && !bytes.Equal(got.Body, before) {
				t.Errorf("%s: got %q, want what is kept, %q", name, got.Body, before)
			}
		}
	}
	h := formattest.New(t, ecosystem)
	text := "---\n1.0.0 |checksum:" + sum + ",colour:blue,created_at:yesterday\n"
	putText(h.Up, "info/alpha", text)
	h.Good("words that nobody knows", h.Get("/info/alpha"), []byte(text))
}

package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millpond"
	"millpond/catalog"
	"millpond/catalog/sql"
	"millpond/internal/audit"
)

// secrets are kept in memory.
type secrets map[string][]byte

func (s secrets) Secret(_ context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	if b, ok := s[name]; ok {
		return b, nil
	}
	b, err := make()
	s[name] = b
	return b, err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func opened(t testing.TB, dir string) *sql.Catalog {
	t.Helper()
	c, err := sql.Open(context.Background(), dir, sql.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

func emit(t testing.TB, c catalog.Catalog, n int) {
	t.Helper()
	for range n {
		must(t, c.Update(context.Background(), millpond.Actor{Name: "ann"}, func(tx catalog.Tx) error { return tx.Emit(millpond.Event{Verb: "publish"}) }))
	}
}

func notary(t testing.TB, path string, s secrets, c catalog.Log, o audit.Options) *audit.Notary {
	t.Helper()
	n, err := audit.Open(context.Background(), path, s, c, o)
	must(t, err)
	t.Cleanup(func() { n.Close() }) // some tests have closed it
	return n
}

func note(t testing.TB, n *audit.Notary, want int64) {
	t.Helper()
	s, err := n.Note(context.Background())
	must(t, err)
	switch {
	case s == nil && want != 0:
		t.Errorf("noted nothing; want head %d", want)
	case s != nil && s.Seq != want:
		t.Errorf("noted head %d; want %d (0 is none)", s.Seq, want)
	}
}

// verify checks that a report has the words in its break and in its problems; "" is none.
func verify(t testing.TB, c catalog.Log, key ed25519.PublicKey, heads int, wantBreak, wantProblem string, files ...[]byte) {
	t.Helper()
	readers := []io.Reader{}
	for _, f := range files {
		readers = append(readers, bytes.NewReader(f))
	}
	r, err := audit.Verify(context.Background(), c, key, readers...)
	must(t, err)
	words := ""
	if r.Break != nil {
		words = r.Break.Why
	}
	problems := strings.Join(r.Problems, "; ")
	if r.Heads != heads || (words == "") != (wantBreak == "") || !strings.Contains(words, wantBreak) ||
		(problems == "") != (wantProblem == "") || !strings.Contains(problems, wantProblem) || r.Sound() != (wantBreak+wantProblem == "") {
		t.Errorf("got %d heads, break %q, problems %q; want %d, %q, %q", r.Heads, words, problems, heads, wantBreak, wantProblem)
	}
}

func TestNotary(t *testing.T) {
	dir := t.TempDir()
	path, s := filepath.Join(dir, "heads"), secrets{}
	c := opened(t, filepath.Join(dir, "data"))
	n := notary(t, path, s, c, audit.Options{})
	note(t, n, 0) // nothing has happened yet
	emit(t, c, 3)
	note(t, n, 3)
	note(t, n, 0)
	emit(t, c, 2)
	note(t, n, 5)
	must(t, n.Close())
	n = notary(t, path, s, c, audit.Options{})
	note(t, n, 0) // it is in the file
	must(t, c.Begin(t.Context(), millpond.Actor{Name: "ann"}, "a restore"))
	note(t, n, 6)

	file, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if back, problems, err := n.Heads(); err != nil || len(back) != 3 || back[2].Seq != 6 || problems != nil {
		t.Errorf("read back %+v, %q, %v; want three heads", back, problems, err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v; want 0600", info.Mode())
	}
	signed, problems, err := audit.Read(bytes.NewReader(file), n.PublicKey())
	if err != nil || problems != nil || len(signed) != 3 || signed[2].Epoch < 2 || signed[2].Seq != 6 {
		t.Errorf("got %+v, %q, %v; want three heads, the last 6 of a later epoch", signed, problems, err)
	}
	verify(t, c, n.PublicKey(), 3, "", "", file)
	verify(t, c, n.PublicKey(), 6, "", "", file, file)
	verify(t, c, n.PublicKey(), 0, "", "")
	if key, err := audit.ParseKey(n.KeyText()); err != nil || !key.Equal(n.PublicKey()) {
		t.Errorf("the key as text: got %v, %v", key, err)
	}
	for _, bad := range []string{"", "zz", n.KeyText()[2:], n.KeyText() + "00"} {
		if _, err := audit.ParseKey(bad); !millpond.Is(err, millpond.Invalid) {
			t.Errorf("ParseKey(%q): got %v; want Invalid", bad, err)
		}
	}
	seed := s["audit-heads"]
	if len(seed) != ed25519.SeedSize || bytes.Contains(file, seed) {
		t.Errorf("the secret has %d bytes; it must be a seed, and not in the file", len(seed))
	}
}

// TestCutTail is S43's cut tail, with the log's own head cut too: only the signed heads show it.
func TestCutTail(t *testing.T) {
	dir := t.TempDir()
	path, data, s := filepath.Join(dir, "heads"), filepath.Join(dir, "data"), secrets{}
	c, err := sql.Open(t.Context(), data, sql.Options{})
	must(t, err)
	emit(t, c, 3)
	must(t, c.Close())
	backup, err := os.ReadFile(filepath.Join(data, "catalog.db"))
	must(t, err)
	c, err = sql.Open(t.Context(), data, sql.Options{})
	must(t, err)
	n := notary(t, path, s, c, audit.Options{})
	note(t, n, 3)
	emit(t, c, 4)
	note(t, n, 7)
	must(t, n.Close())
	must(t, c.Close())
	must(t, os.WriteFile(filepath.Join(data, "catalog.db"), backup, 0o600))

	var words bytes.Buffer
	c = opened(t, data)
	n = notary(t, path, s, c, audit.Options{Log: slog.New(slog.NewTextHandler(&words, nil))})
	file, err := os.ReadFile(path)
	must(t, err)
	verify(t, c, n.PublicKey(), 2, "events after 3 are gone: head 7 was noted at", "", file)
	verify(t, c, n.PublicKey(), 0, "", "") // without the heads nothing shows
	note(t, n, 3)
	if !strings.Contains(words.String(), "begin an epoch") || !strings.Contains(words.String(), "was=7 is=3") {
		t.Errorf("the log says %q; want that it is shorter than it was", words.String())
	}
	must(t, c.Begin(t.Context(), millpond.Actor{Name: "ann"}, "restored from the backup of Monday"))
	note(t, n, 4)
	file, err = os.ReadFile(path)
	must(t, err)
	verify(t, c, n.PublicKey(), 4, `began after 3 with the words "restored from the backup of Monday"`, "", file)
}

func TestHeadsThatWereForged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "heads")
	c := opened(t, filepath.Join(dir, "data"))
	n := notary(t, path, secrets{}, c, audit.Options{})
	for i := range 3 {
		emit(t, c, 1)
		note(t, n, int64(i+1))
	}
	file, err := os.ReadFile(path)
	must(t, err)
	lines := strings.SplitAfter(strings.TrimSpace(string(file)), "\n")
	lines[2] += "\n"
	var second audit.Signed
	must(t, json.Unmarshal([]byte(lines[1]), &second))
	edit := func(change func(s *audit.Signed)) string {
		s := second
		change(&s)
		b, err := json.Marshal(s)
		must(t, err)
		return lines[0] + string(b) + "\n" + lines[2]
	}
	_, other, err := ed25519.GenerateKey(nil)
	must(t, err)
	for _, test := range []struct {
		name, file string
		heads      int
		problem    string
	}{
		{"untouched", string(file), 3, ""},
		{"hash", edit(func(s *audit.Signed) { s.Hash = millpond.SHA256([]byte("x")) }), 2, "line 2, head 2: its signature does not fit"},
		{"seq", edit(func(s *audit.Signed) { s.Seq = 99 }), 2, "line 2, head 99: its signature does not fit"},
		{"epoch", edit(func(s *audit.Signed) { s.Epoch++ }), 2, "its signature does not fit"},
		{"time", edit(func(s *audit.Signed) { s.Time = s.Time.Add(time.Hour) }), 2, "its signature does not fit"},
		{"noted", edit(func(s *audit.Signed) { s.Noted = s.Noted.Add(time.Hour) }), 2, "its signature does not fit"},
		{"signature", edit(func(s *audit.Signed) { s.Sig = append([]byte{}, s.Sig[1:]...) }), 2, "its signature does not fit"},
		{"another key", edit(func(s *audit.Signed) { *s = *audit.Sign(other, second.Head(), second.Noted) }), 2, "it was signed with another key"},
		{"another key that says it is ours", edit(func(s *audit.Signed) {
			*s = *audit.Sign(other, second.Head(), second.Noted)
			s.Key = second.Key
		}), 2, "its signature does not fit"},
		{"no JSON", lines[0] + "nonsense\n" + lines[2], 2, "line 2 is no signed head"},
		{"an empty line", lines[0] + "\n" + lines[2], 2, "line 2 is no signed head"},
		{"a line without end", lines[0] + strings.Repeat("x", 100_000) + "\n" + lines[2], 2, "line 2 is no signed head: it is too long"},
		{"a last line that was cut", lines[0] + lines[1] + lines[2][:50], 2, ""},
		{"what a crash left, ended by who wrote on", lines[0] + lines[1][:50] + "\n" + lines[2], 2, ""},
		{"very little of it", lines[0] + lines[1][:3] + "\n" + lines[2], 2, ""},
		{"a line without its beginning", lines[0] + lines[1][3:] + lines[2], 2, "line 2 is no signed head"},
		{"empty", "", 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			verify(t, c, n.PublicKey(), test.heads, "", test.problem, []byte(test.file))
		})
	}
	t.Run("two files", func(t *testing.T) {
		verify(t, c, n.PublicKey(), 3, "", "file 2: line 1 is no signed head", file, []byte("x\n"))
	})
}

// TestHeadsAfterCrash: what a crash left of a line is cut off, wherever it was cut, and the file goes on.
func TestHeadsAfterCrash(t *testing.T) {
	dir := t.TempDir()
	s := secrets{}
	c := opened(t, filepath.Join(dir, "data"))
	path := filepath.Join(dir, "heads")
	n := notary(t, path, s, c, audit.Options{})
	emit(t, c, 1)
	note(t, n, 1)
	emit(t, c, 1)
	note(t, n, 2)
	must(t, n.Close())
	file, err := os.ReadFile(path)
	must(t, err)
	for size := range len(file) { // without the last line's end, that line is cut off and signed again
		must(t, os.WriteFile(path, file[:size], 0o600))
		n := notary(t, path, s, c, audit.Options{})
		note(t, n, 2)
		must(t, n.Close())
		if size%7 > 0 && size < len(file)-8 {
			continue // to verify the whole log at every size takes long
		}
		got, err := os.ReadFile(path)
		must(t, err)
		whole := bytes.Count(file[:size], []byte("\n"))
		verify(t, c, n.PublicKey(), whole+1, "", "", got)
	}
	must(t, os.WriteFile(path, bytes.Repeat([]byte("x"), 100_000), 0o600))
	if _, err := audit.Open(t.Context(), path, s, c, audit.Options{}); err == nil {
		t.Error("a file of something else was opened, and would be cut off")
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 100_000 {
		t.Errorf("that file: got %v, %v; want it as it was", info.Size(), err)
	}
}

func TestKeyThatCannotBe(t *testing.T) {
	c := opened(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "heads")
	if _, err := audit.Open(t.Context(), path, secrets{"audit-heads": []byte("short")}, c, audit.Options{}); err == nil {
		t.Error("a key of the wrong length was taken")
	}
	if _, err := audit.Open(t.Context(), path, broken{}, c, audit.Options{}); !errors.Is(err, errBroken) {
		t.Errorf("got %v; want the error of the secrets", err)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Secret(context.Context, string, func() ([]byte, error)) ([]byte, error) {
	return nil, errBroken
}

// TestRun: at most one head a minute, however much happens, and one when it ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "heads")
		c, err := sql.Open(context.Background(), filepath.Join(dir, "data"), sql.Options{})
		must(t, err)
		n, err := audit.Open(context.Background(), path, secrets{}, c, audit.Options{})
		must(t, err)
		emit(t, c, 1)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); n.Run(ctx) }()
		for range 6 { // three minutes
			time.Sleep(30 * time.Second)
			emit(t, c, 10)
			synctest.Wait()
		}
		time.Sleep(10 * time.Minute) // nothing happens
		emit(t, c, 1)
		cancel()
		<-done
		file, err := os.ReadFile(path)
		must(t, err)
		signed, problems, err := audit.Read(bytes.NewReader(file), n.PublicKey())
		must(t, err)
		// At the start; after 1, 2 and 3 minutes; the rest at the next; at the end.
		if len(signed) < 5 || len(signed) > 6 || problems != nil || signed[0].Seq != 1 || signed[len(signed)-1].Seq != 62 {
			t.Errorf("got %d heads, %q: %s", len(signed), problems, file)
		}
		for i := 1; i < len(signed)-1; i++ {
			if d := signed[i].Noted.Sub(signed[i-1].Noted); d < time.Minute {
				t.Errorf("heads %d and %d were signed %v apart; want a minute at least", signed[i-1].Seq, signed[i].Seq, d)
			}
		}
		verify(t, c, n.PublicKey(), len(signed), "", "", file)
		must(t, n.Close())
		must(t, c.Close())
	})
}

// TestHeadNotWritten: a head that cannot be written leaves nothing of itself.
func TestHeadNotWritten(t *testing.T) {
	dir := t.TempDir()
	path, s := filepath.Join(dir, "heads"), secrets{}
	c := opened(t, filepath.Join(dir, "data"))
	n := notary(t, path, s, c, audit.Options{})
	emit(t, c, 1)
	must(t, n.Close()) // writes fail from here on
	if _, err := n.Note(t.Context()); err == nil {
		t.Error("a head that could not be written gave no error")
	}
	n = notary(t, path, s, c, audit.Options{})
	note(t, n, 1)
	file, err := os.ReadFile(path)
	must(t, err)
	verify(t, c, n.PublicKey(), 1, "", "", file)
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errBroken }

package sql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"millpond"
	"millpond/catalog"
)

// A record keeps what was logged, and tells of each line.
type record struct {
	mu    sync.Mutex // guards lines
	lines []string
	told  chan string // a line each; what does not fit is not told
}

func (r *record) Enabled(context.Context, slog.Level) bool { return true }
func (r *record) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *record) WithGroup(string) slog.Handler            { return r }

func (r *record) Handle(_ context.Context, l slog.Record) error {
	line := l.Level.String() + " " + l.Message
	l.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	select {
	case r.told <- line:
	default:
	}
	return nil
}

// has reports whether a line with all the words was logged.
func (r *record) has(words ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.lines {
		if containsAll(line, words) {
			return true
		}
	}
	return false
}

// await waits until a line with all the words is logged.
func (r *record) await(t *testing.T, words ...string) {
	t.Helper()
	for {
		select {
		case line := <-r.told:
			if containsAll(line, words) {
				return
			}
		case <-t.Context().Done():
			t.Fatalf("never logged: %q", words)
		}
	}
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// try opens the catalog in dir with a log that is kept.
func try(dir string) (*Catalog, *record, error) {
	r := &record{told: make(chan string, 100)}
	c, err := Open(context.Background(), dir, Options{Log: slog.New(r)})
	return c, r, err
}

// opened opens the catalog in dir and closes it when the test ends, if that did not happen before.
func opened(t *testing.T, dir string) (*Catalog, *record) {
	t.Helper()
	c, r, err := try(dir)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { closed(t, c) })
	return c, r
}

func closed(t *testing.T, c *Catalog) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks that err has the kind and that its words for people say all the words.
func refused(t *testing.T, what string, err error, kind millpond.Kind, words ...string) {
	t.Helper()
	why, hint := "", ""
	if e, ok := errors.AsType[*millpond.Error](err); ok {
		why, hint = e.Why, e.Hint
	}
	if !millpond.Is(err, kind) || !containsAll(why+" / "+hint, words) {
		t.Errorf("%s: got %v (hint %q); want kind %q and the words %q", what, err, hint, kind, words)
	}
}

// set is an update that keeps a setting.
func set(c catalog.Catalog, name, value string) error {
	return c.Update(context.Background(), millpond.Actor{Name: "me"}, func(tx catalog.Tx) error { return tx.SetSetting(name, json.RawMessage(value)) })
}

func setting(t *testing.T, c catalog.Catalog, name string) (value string) {
	t.Helper()
	must(t, c.View(context.Background(), func(tx catalog.Tx) error {
		v, err := tx.Setting(name)
		value = string(v)
		return err
	}))
	return value
}

// fill emits n events with a kilobyte of detail each, in one update.
func fill(t *testing.T, c catalog.Catalog, n int) {
	t.Helper()
	must(t, c.Update(t.Context(), millpond.Actor{Name: "me"}, func(tx catalog.Tx) error {
		for i := range n {
			detail := fmt.Sprintf(`{"n": %d, "text": %q}`, i, strings.Repeat("x", 1000))
			if err := tx.Emit(millpond.Event{Verb: "fill", Detail: json.RawMessage(detail)}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// spoil overwrites the last page of a closed database.
func spoil(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte(strings.Repeat("damage! ", 512)), info.Size()-4096)
	must(t, err)
	must(t, f.Close())
}

// copyFile copies a small file.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, b, 0o600))
}

func exists(path ...string) bool {
	_, err := os.Stat(filepath.Join(path...))
	return err == nil
}

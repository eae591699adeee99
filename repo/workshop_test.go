package repo_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"millpond"
	"millpond/fetch/faulty"
	"millpond/format"
	"millpond/format/golang"
	"millpond/repo"
)

// maker is a format whose files are made: the text that its upstream has, with a word before it.
type maker struct{ golang.Format }

func (maker) Ours(func(string) string) bool { return true }

func (m maker) Source(r format.Remote) format.Source { return making{m.Format.Source(r), r} }

type making struct {
	format.Source
	remote format.Remote
}

func (m making) Fetch(ctx context.Context, k millpond.Key, w io.Writer) error {
	shop := m.remote.(format.Workshop)
	done, err := shop.Turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	at, err := shop.Scratch()
	if err != nil {
		return err
	}
	if err := os.WriteFile(at+"/word", []byte("module "), 0o600); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.remote.URL().JoinPath(k.Package, k.File).String(), nil)
	if err != nil {
		return err
	}
	resp, err := shop.Send(req, 100)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &millpond.Error{Kind: millpond.NotFound, Why: "nothing to make it of"}
	}
	word, err := os.ReadFile(at + "/word")
	if err == nil {
		_, err = w.Write(word)
	}
	if err == nil {
		_, err = io.Copy(w, resp.Body)
	}
	return err
}

// What a Source makes is kept, is made once, is never answered with an address, and may have a claimed name where its
// upstream is the team's own.
func TestMadeFiles(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.config.Format = maker{}
		r.config.Claims = []string{"m.example"}
		r.config.Fill = []repo.Fill{{Mode: repo.Redirect}}
	})
	for n := range 3 {
		r.up.Put(fmt.Sprintf("/simple/m.example/x/v1.%d.0.mod", n), faulty.Object{Body: []byte("m.example/x")})
	}
	r.up.Put("/simple/m.example/x/v1.9.0.mod", faulty.Object{Body: []byte(strings.Repeat("x", 101))})
	const path, want = "/r/m.example/x/@v/v1.%d.0.mod", "module m.example/x"
	for range 2 {
		r.good("made", r.get(fmt.Sprintf(path, 0)), []byte(want))
	}
	if n := r.up.Count("GET", "/simple/m.example/x/v1.0.0.mod"); n != 1 {
		t.Errorf("it was made %d times, want once", n)
	}
	for n, status := range map[int]int{1: 200, 5: 404, 9: 503} { // the last is more than its maker takes
		if a := r.do(http.MethodHead, fmt.Sprintf(path, n), nil); a.Status != status {
			t.Errorf("HEAD of version %d: %s, want %d", n, a, status)
		}
	}
	r.settings.Offline = true
	r.configure()
	r.good("held and offline", r.get(fmt.Sprintf(path, 1)), []byte(want))
	if a := r.get(fmt.Sprintf(path, 2)); a.Status != http.StatusServiceUnavailable {
		t.Errorf("not held and offline: %s, want 503", a)
	}
}

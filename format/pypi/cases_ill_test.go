package pypi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
	"millpond/repo"
)

// bodyOf is the path at the upstream of a source file of alpha with that body, and the path below the repository.
func bodyOf(t *testing.T, h *formattest.House, name string, body []byte) (upstream, path string) {
	t.Helper()
	putMore(h, 0, nil, entry(h, name, body, nil))
	return "/files/alpha/" + name, at(t, pageOf(t, h).file(name).URL)
}

func TestCase15WrongBodies(t *testing.T) {
	small, large := bytes.Repeat([]byte("small "), 1000), bytes.Repeat([]byte("large "), 1<<19)
	for size, body := range map[string][]byte{"small": small, "large": large} {
		for wrong, spoil := range map[string]func(up *faulty.Server, path string){
			"corrupt": func(up *faulty.Server, path string) { up.Order(path, "always lie") },
			"short":   func(up *faulty.Server, path string) { up.Put(path, faulty.Object{Body: body[:len(body)-1]}) },
			"long": func(up *faulty.Server, path string) {
				up.Put(path, faulty.Object{Body: append(slices.Clone(body), '!')})
			},
			"gzip-wrapped": func(up *faulty.Server, path string) { up.Order(path, "always gzip-body") },
			"a page":       func(up *faulty.Server, path string) { up.Order(path, "always html-200") },
		} {
			t.Run(size+" "+wrong, func(t *testing.T) {
				h := house(t)
				upstream, path := bodyOf(t, h, "alpha-3.0.tar.gz", body)
				kept := h.Kept()
				spoil(h.Up, upstream)
				r := h.Get(path)
				if wrong == "gzip-wrapped" && r.Err == nil && bytes.Equal(r.Body, body) {
					return // it was unwrapped, and is what the page promised
				}
				if r.Err == nil && r.Status == http.StatusOK {
					t.Errorf("got %s, want no clean end", r)
				}
				if size == "small" {
					h.Want("before the first byte", r, http.StatusServiceUnavailable)
				}
				if n := h.Kept(); n != kept {
					t.Errorf("%d blobs are kept, want the %d of before", n, kept)
				}
				if wrong != "a page" && !slices.Contains(h.Events(), "corrupt") {
					t.Errorf("events are %q, want corrupt among them", h.Events())
				}
			})
		}
	}
}

func TestCase16CutIsResumed(t *testing.T) {
	h := house(t)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	upstream, path := bodyOf(t, h, "alpha-3.0.tar.gz", body)
	h.Up.Put(upstream, faulty.Object{Body: body, ETag: `"one"`})
	h.Up.Order(upstream, fmt.Sprintf("cut %d", len(body)/3))
	h.Good("cut once", h.Get(path), body)
	asked := h.Up.Requests(upstream)
	if len(asked) != 2 || asked[1].Header.Get("Range") != fmt.Sprintf("bytes=%d-", len(body)/3) || asked[1].Header.Get("If-Range") == "" {
		t.Errorf("the upstream was asked %+v, want the rest under If-Range", asked)
	}

	h = house(t)
	upstream, path = bodyOf(t, h, "alpha-3.0.tar.gz", body)
	kept := h.Kept()
	h.Up.Order(upstream, fmt.Sprintf("cut %d", len(body)/3), "always change-mid-resume")
	if r := h.Get(path); r.Err == nil && r.Status == http.StatusOK {
		t.Errorf("changed meanwhile: got %s, want a cut", r)
	}
	if n := h.Kept(); n != kept {
		t.Errorf("changed meanwhile: %d blobs are kept, want the %d of before", n, kept)
	}
}

func TestCase22AHoldEndsByItself(t *testing.T) {
	h := house(t, formattest.Rules(t, map[string]any{"hold": "7d"}))
	h.Up.Put("/simple/", faulty.Object{Body: []byte(`{"meta":{"api-version":"1.0"},"projects":[{"name":"alpha","_last-serial":7}]}`), Type: typeJSON})
	read := func() (tag, serial string) {
		root := h.Good("root index", h.Do("GET", "/r/simple/", asPip), nil)
		r := h.Good("page", h.Index("alpha"), nil)
		return r.Header.Get("Etag"), root.Header.Get(serialHeader)
	}
	h.Good("page", h.Index("alpha"), nil)
	tag, serial := read()
	h.Want("held", h.File("alpha", newest), http.StatusForbidden)
	h.Up.Order(alphas, "always 304-bare")
	h.Pass(7 * 24 * time.Hour)
	after, number := read()
	if after == tag || number == serial || number == "" {
		t.Errorf("the hold has ended: tag %s, was %s; serial %s, was %s; want both new", after, tag, number, serial)
	}
	h.Good("the file", h.File("alpha", newest), wheel("alpha", newest))
	if tag, serial := read(); tag != after || serial != number {
		t.Errorf("and again: tag %s, serial %s, want %s and %s as before", tag, serial, after, number)
	}
}

// What cannot be read of the records is never answered with what an upstream says, and a lost credential is no absence.
func TestCase27NotReadableIsNotAbsent(t *testing.T) {
	h := house(t)
	h.Up.Order(alphas, "always 403")
	h.Want("the upstream takes our credential no more", h.Index("alpha"), http.StatusServiceUnavailable)
	h.Up.Order(alphas, "always ok")
	h.Pass(time.Minute)
	h.Good("and again", h.Index("alpha"), nil)
	h.Idle()
	h.Up.Forget()
	h.LoseCatalog()
	h.Pass(time.Hour)
	for _, name := range []string{"alpha", "beta"} {
		if r := h.Index(name); r.Status < 500 {
			t.Errorf("no catalog, %s: got %s, want 500 or 503", name, r)
		}
		if r := h.File(name, old); r.Status < 500 {
			t.Errorf("no catalog, a file of %s: got %s, want 500 or 503", name, r)
		}
	}
	if n := h.Up.Count("", ""); n != 0 {
		t.Errorf("without its records the pond asked its upstream %d times: %v", n, h.Up.Requests(""))
	}
}

func TestCase30AbsenceIsForgotten(t *testing.T) {
	s := newShelf(t, func(c *repo.Config) { c.Claims = []string{"alpha"} })
	base := s.serve()
	if got := get(t, base+alphas, typeJSON); got.status != 404 {
		t.Errorf("before it was published: got %s, want 404", got)
	}
	file, body := aWheel("alpha", "1.0", "x = 1\n")
	want(t, "publish", publish(t, base, file, "alpha", "1.0", body), 200, "")
	if got := get(t, base+alphas, typeJSON); got.status != 200 {
		t.Errorf("at once after: got %s, want 200", got)
	}

	for range 2 {
		if got := get(t, base+"/simple/beta/", typeJSON); got.status != 404 {
			t.Errorf("beta, before: got %s, want 404", got)
		}
	}
	s.Up.Want(t, "/simple/beta/", 1)
	put(s.Up, "beta", old)
	s.Pass(59 * time.Second)
	if got := get(t, base+"/simple/beta/", typeJSON); got.status != 404 {
		t.Errorf("beta, within a minute: got %s, want 404", got)
	}
	s.Pass(2 * time.Second)
	if got := get(t, base+"/simple/beta/", typeJSON); got.status != 200 {
		t.Errorf("beta, after a minute: got %s, want 200", got)
	}
}

// The other half, a kill at every write, is formattest's failedWrites.
func TestCase32ClientGoneInMidFile(t *testing.T) {
	s := newShelf(t)
	base := s.serve()
	file, body := aWheel("alpha", "1.0", strings.Repeat("x = 1\n", 100))
	contentType, form := upload(file, body, fieldsOf(file, "alpha", "1.0", body)...)
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /legacy/ HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", u.Host, contentType, len(form))
	if _, err := conn.Write(form[:len(form)-len(body)/2]); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil { // so the server has seen the end when it answers
		t.Fatal(err)
	}
	answer := make([]byte, 64)
	n, _ := conn.Read(answer)
	conn.Close()
	if strings.Contains(string(answer[:n]), " 200 ") {
		t.Errorf("half a form: got %q", answer[:n])
	}
	s.wantNothing()
	if got := get(t, base+alphas, typeJSON); got.status != 404 {
		t.Errorf("the page: got %s, want 404", got)
	}
	s.Pass(48 * time.Hour)
	if _, err := s.Pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Pass(2 * time.Hour)
	if _, err := s.Pond.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.Kept(); n != 0 {
		t.Errorf("%d blobs are left of it", n)
	}
	want(t, "whole", publish(t, base, file, "alpha", "1.0", body), 200, "")
}

// Log lines and what clients bring are looked through when each script is over: findSecrets.
func TestCase38NoCredentialShows(t *testing.T) {
	const canary = "canary-of-the-upstream"
	h := house(t)
	h.Up.Order(upstreamFile("alpha", newest), "always lie") // an event
	for _, fill := range []repo.Mode{repo.Store, repo.Redirect} {
		c := h.Config("r", h.Up)
		c.Upstreams[0].Username, c.Upstreams[0].Password, c.Fill = "pond", canary, []repo.Fill{{Mode: fill}}
		if err := h.Pond.Configure(t.Context(), repo.Settings{}, []repo.Config{c}); err != nil {
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows it: %v", err)
			}
			continue
		}
		for _, r := range []formattest.Reply{h.Index("alpha"), h.File("alpha", old), h.File("alpha", recent), h.File("alpha", newest), h.Get(jsonAPI), h.Index("absent")} {
			var all strings.Builder
			if err := r.Header.Write(&all); err != nil {
				t.Fatal(err)
			}
			if text := all.String() + string(r.Body); strings.Contains(text, canary) || strings.Contains(text, "cG9uZDpjYW5hcn") {
				t.Errorf("%v: the upstream's password stands in %s %s", fill, all.String(), r)
			}
		}
	}
	if sent := h.Up.Requests(upstreamFile("alpha", old)); len(sent) == 0 || sent[0].Header.Get("Authorization") == "" {
		t.Fatalf("the upstream was not sent the credential: %+v", sent)
	}
	raw, err := json.Marshal(h.Log())
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Log()) == 0 || bytes.Contains(raw, []byte(canary)) {
		t.Errorf("the events are %s, want some, and none with the password", raw)
	}
}

package faulty_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"millpond/fetch/faulty"
)

// patience is how long the client waits for a header; a server that hangs is asked with less.
const patience = 30 * time.Second

// client is one that keeps nothing and unpacks nothing.
func client(t *testing.T, patience time.Duration) *http.Client {
	tr := &http.Transport{DisableCompression: true, ResponseHeaderTimeout: patience}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get is status, body, and the error of either as the client saw it.
func get(t *testing.T, url string, header ...string) (*http.Response, string, error) {
	t.Helper()
	return getWithin(t, patience, url, header...)
}

func getWithin(t *testing.T, patience time.Duration, url string, header ...string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := client(t, patience).Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func TestVerbs(t *testing.T) {
	body := strings.Repeat("0123456789", 100)
	for _, tt := range []struct {
		order  string
		range_ string
		status int // 0: no answer
		body   string
		cut    bool
		chunks bool
	}{
		{order: "ok", status: 200, body: body},
		{order: "ok", range_: "bytes=990-", status: 206, body: body[990:]},
		{order: "ok", range_: "bytes=10-19", status: 206, body: body[10:20]},
		{order: "ok", range_: "bytes=1000-", status: 416},
		{order: "no-range", range_: "bytes=990-", status: 200, body: body},
		{order: "cut 0", status: 200, cut: true},
		{order: "cut 500", status: 200, body: body[:500], cut: true},
		{order: "cut 500", chunks: true, status: 200, body: body[:500], cut: true},
		{order: "cut 1000", chunks: true, status: 200, body: body, cut: true},
		{order: "cut 5", range_: "bytes=990-", status: 206, body: body[990:995], cut: true},
		{order: "close 500", status: 200, body: body[:500]},
		{order: "extra 7", status: 200, body: body},
		{order: "reset 500", status: 200, body: body[:500], cut: true},
		{order: "drip 300 1ms", status: 200, body: body},
		{order: "slow 1ms", status: 200, body: body},
		{order: "hang"},
		{order: "refuse"},
		{order: "503 7", status: 503, body: "503\n"},
		{order: "redirect /else", status: 302},
		{order: "html-200", status: 200, body: "<!DOCTYPE html><title>Sign in</title><h1>Please sign in to this network</h1>\n"},
		{order: "empty-200", status: 200},
		{order: "304-bare", status: 304},
		{order: "206-plain", status: 206, body: body[:500]},
		{order: "gzip-label", status: 200, body: body},
		{order: "lie", status: 200, body: body[:500] + "1" + body[501:]},
		{order: "vanish", status: 404, body: "404 page not found\n"},
		{order: "big 100", status: 200, body: strings.Repeat("x", 63) + "\n" + strings.Repeat("x", 36)},
	} {
		t.Run(fmt.Sprintf("%s %s", tt.order, tt.range_), func(t *testing.T) {
			s := faulty.New(t)
			s.Put("/f", faulty.Object{Body: []byte(body), ETag: `"1"`, Chunked: tt.chunks})
			s.Order("/f", tt.order)
			header := []string{}
			if tt.range_ != "" {
				header = []string{"Range", tt.range_}
			}
			wait := patience
			if tt.order == "hang" {
				wait = 300 * time.Millisecond
			}
			resp, got, err := getWithin(t, wait, s.URL+"/f", header...)
			if tt.status == 0 {
				if err == nil {
					t.Fatalf("got status %d, want no answer", resp.StatusCode)
				}
				return
			}
			if resp == nil || resp.StatusCode != tt.status || (err != nil) != tt.cut {
				t.Fatalf("got %v and error %v, want status %d and cut=%v", resp, err, tt.status, tt.cut)
			}
			if tt.order != "reset 500" && got != tt.body { // what came before a reset may be lost
				t.Errorf("got body %.60q (%d), want %.60q (%d)", got, len(got), tt.body, len(tt.body))
			}
			s.Want(t, "/f", 1)
			if _, got, err := get(t, s.URL+"/f"); tt.order != "vanish" && (err != nil && !tt.chunks || got != body) {
				t.Errorf("the request after %s got %.60q, %v; want the object", tt.order, got, err)
			}
		})
	}
}

func TestOrdersRunOut(t *testing.T) {
	s := faulty.New(t)
	s.Put("/f", faulty.Object{Body: []byte("hello")})
	s.Order("/f", "500 x2", "ok", "always 403")
	var got []int
	for range 5 {
		resp, _, err := get(t, s.URL+"/f")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, resp.StatusCode)
	}
	if want := []int{500, 500, 200, 403, 403}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if n := s.Count("GET", "/f"); n != 5 {
		t.Errorf("counted %d requests, want 5", n)
	}
}

func TestObjectsChange(t *testing.T) {
	s := faulty.New(t)
	s.Put("/f", faulty.Object{Body: []byte("one"), ETag: `"1"`})
	s.Put("/f", faulty.Object{Body: []byte("two"), ETag: `"2"`})
	s.Stage("/f", faulty.Object{Body: []byte("three"), ETag: `"3"`})
	s.Order("/f", "back", "swap", "ok", "replace", "ok")
	var got []string
	for range 5 {
		_, body, err := get(t, s.URL+"/f")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, body)
	}
	if got[0] != "one" || got[1] != "two" || got[2] != "three" || got[3] == "three" || got[4] != got[3] || len(got[3]) != 5 {
		t.Errorf("got %q, want the object before, the present one, the staged one, and another one twice", got)
	}
	s.Order("/f", "change-mid-resume")
	_, first, _ := get(t, s.URL+"/f")
	resp, second, _ := get(t, s.URL+"/f", "Range", "bytes=2-", "If-Range", `"3-other"`)
	if first != got[4] || resp.StatusCode != 200 || second == first {
		t.Errorf("got %q, then %d %q to a range with the old tag; want the object to change in between", first, resp.StatusCode, second)
	}
}

func TestPackedBodies(t *testing.T) {
	s := faulty.New(t)
	s.Put("/f", faulty.Object{Body: []byte("hello")})
	s.Order("/f", "gzip-body", "bomb 1000000")
	for _, want := range []int64{5, 1000000} {
		resp, got, err := get(t, s.URL+"/f")
		if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("got %v, %v; want a gzip body", resp, err)
		}
		z, err := gzip.NewReader(strings.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, z); n != want || err != nil {
			t.Errorf("unpacked %d bytes, %v; want %d", n, err, want)
		}
	}
}

func TestGate(t *testing.T) {
	s := faulty.New(t)
	s.Put("/f", faulty.Object{Body: bytes.Repeat([]byte("x"), 100_000)})
	g := s.Gate("/f", 70_000)
	resp, err := client(t, patience).Get(s.URL + "/f")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.CopyN(io.Discard, resp.Body, 70_000); err != nil {
		t.Fatalf("read %d bytes before the gate, %v", n, err)
	}
	<-g.Reached
	g.Open()
	if n, err := io.Copy(io.Discard, resp.Body); n != 30_000 || err != nil {
		t.Errorf("read %d bytes behind the gate, %v; want 30000", n, err)
	}
}

func TestRefuse(t *testing.T) {
	s := faulty.New(t)
	s.Put("/f", faulty.Object{Body: []byte("hello")})
	s.Refuse()
	if _, _, err := get(t, s.URL+"/f"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want a refused connection", err)
	}
	if err := s.Accept(); err != nil {
		t.Fatal(err)
	}
	if _, body, err := get(t, s.URL+"/f"); body != "hello" {
		t.Errorf("got %q, %v after Accept", body, err)
	}
}

func TestCommand(t *testing.T) {
	s := faulty.New(t)
	name := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(name, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"put /f " + name + " text/plain", "order /f 500 ok", "count GET /f 0", "refuse", "accept"} {
		if err := s.Command(strings.Fields(args)...); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
	for _, args := range []string{"order /f fly", "order /f cut", "count GET /f 7", "dance", "put /f /nowhere"} {
		if err := s.Command(strings.Fields(args)...); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
	if resp, _, err := get(t, s.URL+"/f"); err != nil || resp.StatusCode != 500 {
		t.Errorf("got %v, %v; want 500", resp, err)
	}
	if resp, body, err := get(t, s.URL+"/f"); err != nil || body != "hello" || resp.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("got %v %q, %v; want what was put", resp, body, err)
	}
}

func TestNoiseIsTheSameAtEveryOffset(t *testing.T) {
	r := faulty.Noise(7, 1000)
	whole := make([]byte, 1000)
	if _, err := r.ReadAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	for off := range 100 {
		part := make([]byte, 33)
		if _, err := r.ReadAt(part, int64(off)); err != nil || !bytes.Equal(part, whole[off:off+33]) {
			t.Fatalf("bytes at %d differ: %x, %v; want %x", off, part, err, whole[off:off+33])
		}
	}
	if n, err := r.ReadAt(whole, 990); n != 10 || err != io.EOF {
		t.Errorf("read %d, %v at the end; want 10, EOF", n, err)
	}
}

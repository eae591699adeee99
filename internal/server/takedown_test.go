package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"millpond/blob"
	"millpond/blob/disk"
	"millpond/blob/mem"
)

// TestTakedownCutsRunningDownloads takes down what two clients are reading, by its name and by its bytes, from memory and by
// sendfile: neither gets a clean end, and who reads something else does.
func TestTakedownCutsRunningDownloads(t *testing.T) {
	onDisk, err := disk.Open(t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const size = 48 << 20 // more than the kernel takes ahead
	for _, c := range []struct {
		name  string
		store blob.Store
		down  func(digest string) TakedownDocument
	}{
		{"by name, from memory", mem.New(), func(string) TakedownDocument {
			return TakedownDocument{Format: "paper", Package: "bad", Why: "it steals keys"}
		}},
		{"by version, from disk", onDisk, func(string) TakedownDocument {
			return TakedownDocument{Format: "paper", Package: "bad", Versions: "1", Why: "it steals keys"}
		}},
		{"by digest, from memory", mem.New(), func(d string) TakedownDocument { return TakedownDocument{Digest: d, Why: "these bytes"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouseOn(t, c.store)
			for i, name := range []string{"bad", "good"} {
				if w := h.send(bearer(h.admin), "PUT", "/pub/"+name+"/1", bytes.NewReader(bytes.Repeat([]byte{byte('a' + i)}, size))); w.Code != 200 {
					t.Fatalf("publish = %d %s", w.Code, w.Body)
				}
			}
			var shown PackageDocument
			h.ask(h.admin, "GET", "/-/api/repositories/pub/packages/bad", nil, 200, &shown)
			addr, stop := serve(t, h.server, Listening{})
			begin := func(name string) *http.Response {
				t.Helper()
				resp, err := client(addr).Get("http://pond.example/pub/" + name + "/1")
				if err != nil || resp.StatusCode != 200 {
					t.Fatalf("GET %s: %v, %v", name, resp, err)
				}
				t.Cleanup(func() { resp.Body.Close() })
				if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
				return resp
			}
			bad, good := begin("bad"), begin("good")
			h.ask(h.admin, "POST", "/-/api/takedowns", c.down(shown.Versions[0].Files[0].Digest), 200, nil)
			if n, err := io.Copy(io.Discard, bad.Body); err == nil || n >= size-1000 {
				t.Errorf("what was taken down: %d more bytes and %v, want it cut", n, err)
			}
			if n, err := io.Copy(io.Discard, good.Body); err != nil || n != size-1000 {
				t.Errorf("what was not: %d more bytes and %v, want all %d", n, err, size-1000)
			}
			resp, err := client(addr).Get("http://pond.example/pub/bad/1")
			if err != nil {
				t.Fatal(err)
			}
			words, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 403 || !strings.Contains(string(words), "taken down by root") {
				t.Errorf("after it = %d %q, want 403 and why", resp.StatusCode, words)
			}
			if err := stop(); err != nil { // then all is in the log
				t.Error(err)
			}
			if want := fmt.Sprintf("%q", "cut") + ":true"; !strings.Contains(h.log.String(), want) {
				t.Errorf("the log does not say that an answer was cut:\n%s", h.log.String())
			}
		})
	}
}

// client reaches every host at one address.
func client(addr string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}}
}

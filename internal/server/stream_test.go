package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// overHTTP2 serves s with TLS until the test ends, and returns its address and a client that speaks HTTP/2 to it.
func overHTTP2(t *testing.T, s *Server) (string, *http.Client) {
	t.Helper()
	a, err := OpenAuthority(t.TempDir(), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := serve(t, s, Listening{TLS: a.Config()})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return "https://" + addr, &http.Client{Transport: tr}
}

// TestWhatTakesLongIsNotCut: a request may take longer than a client may be silent, while it sends a file, while the pond works on
// what it has sent, and while there is no news for it; over HTTP/2 as over HTTP/1.1.
func TestWhatTakesLongIsNotCut(t *testing.T) {
	const patience = time.Second // half of it is what a busy machine may be late
	long := 2 * patience
	work := func(r *http.Request) error {
		select {
		case <-r.Context().Done():
			return errors.New("the pond believes that the client has left")
		case <-time.After(long):
			return nil
		}
	}
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		switch {
		case err != nil:
		case strings.Contains(r.URL.Path, "works"):
			err = work(r)
		case strings.Contains(r.URL.Path, "news"):
			fmt.Fprint(w, "first, ")
			http.NewResponseController(w).Flush()
			err = work(r)
		}
		fmt.Fprint(w, n, " ", err)
	}}))
	s.patience = patience
	at, two := overHTTP2(t, s)
	plain, _ := start(t, Settings{}, public("alpha", s.table.Load().order[0].config.Format.(echo)))
	plain.patience = patience
	addr, _ := serve(t, plain, Listening{})
	sends := func() io.Reader {
		in, out := io.Pipe()
		go func() {
			for range 8 {
				io.WriteString(out, "part")
				time.Sleep(long / 8)
			}
			out.Close()
		}()
		return in
	}
	for _, c := range []struct {
		name, method, path string
		body               func() io.Reader
		want               string
	}{
		{"a client that sends a file slowly", "PUT", "sends", sends, "32 <nil>"},
		{"work before the answer", "GET", "works", func() io.Reader { return nil }, "0 <nil>"},
		{"work on what was sent", "PUT", "works", func() io.Reader { return strings.NewReader("all of it") }, "9 <nil>"},
		{"news that come late", "GET", "news", func() io.Reader { return nil }, "first, 0 <nil>"},
	} {
		for proto, from := range map[string]struct {
			at     string
			client *http.Client
		}{"HTTP/2.0": {at, two}, "HTTP/1.1": {"http://" + addr, http.DefaultClient}} {
			t.Run(c.name+" "+proto, func(t *testing.T) {
				t.Parallel()
				r, err := http.NewRequest(c.method, from.at+"/alpha/"+c.path, c.body())
				if err != nil {
					t.Fatal(err)
				}
				resp, err := from.client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if err != nil || string(got) != c.want || resp.Proto != proto {
					t.Errorf("%s %q, %v; want %s %q", resp.Proto, got, err, proto, c.want)
				}
			})
		}
	}
}

// TestDeadClientOverHTTP2: one that takes nothing is cut, before its handler has returned and after.
func TestDeadClientOverHTTP2(t *testing.T) {
	ended := make(chan error, 2)
	s, _ := start(t, Settings{}, public("alpha", echo{name: "one", serve: func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "late") { // when net/http's own deadline counts no more
			time.Sleep(750 * time.Millisecond)
		}
		_, err := w.Write(make([]byte, 16<<20))
		ended <- err
	}}))
	s.patience = time.Second
	at, client := overHTTP2(t, s)
	for _, path := range []string{"soon", "late"} {
		resp, err := client.Get(at + "/alpha/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: 16 MiB were sent to who takes nothing", path)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: a client that takes nothing is waited for", path)
		}
	}
}

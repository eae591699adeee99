package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millpond/catalog/sql"
	"millpond/fetch"
	"millpond/internal/audit"
)

func sinkAt(t *testing.T, address, token string) audit.Sink {
	t.Helper()
	s, err := audit.SinkAt(address, func(at *url.URL) (func(context.Context, []byte) error, error) {
		return fetch.PostTo(at, token, 10*time.Second)
	})
	must(t, err)
	return s
}

func TestSinks(t *testing.T) {
	line := []byte(`{"epoch":1,"seq":7}` + "\n")
	t.Run("file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "heads")
		must(t, os.WriteFile(path, []byte(`{"epoch":1,"se`), 0o600)) // what a crash left
		s := sinkAt(t, "file://"+path, "")
		must(t, s.Keep(t.Context(), line))
		must(t, s.Keep(t.Context(), line))
		got, err := os.ReadFile(path)
		must(t, err)
		if want := `{"epoch":1,"se` + "\n" + string(line) + string(line); string(got) != want {
			t.Errorf("got %q; want %q", got, want)
		}
		if err := sinkAt(t, "file://"+path+"/x", "").Keep(t.Context(), line); err == nil {
			t.Error("a file below a file was written")
		}
	})
	t.Run("syslog by UDP", func(t *testing.T) {
		l, err := net.ListenPacket("udp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		must(t, sinkAt(t, "syslog://"+l.LocalAddr().String(), "").Keep(t.Context(), line))
		b := make([]byte, 4096)
		n, _, err := l.ReadFrom(b)
		must(t, err)
		if got := string(b[:n]); !strings.HasPrefix(got, "<85>1 ") || !strings.HasSuffix(got, ` head - {"epoch":1,"seq":7}`) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("syslog by TCP", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer l.Close()
		must(t, sinkAt(t, "syslog+tcp://"+l.Addr().String(), "").Keep(t.Context(), line))
		c, err := l.Accept()
		must(t, err)
		got, err := io.ReadAll(c)
		must(t, err)
		length, text, _ := strings.Cut(string(got), " ")
		if length != fmt.Sprint(len(text)) || !strings.HasPrefix(text, "<85>1 ") {
			t.Errorf("got %q; want its length first", got)
		}
	})
	t.Run("https", func(t *testing.T) {
		status := http.StatusNoContent
		var got []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			got = append(got, r.Method+" "+r.UserAgent()+" "+r.Header.Get("Authorization")+" "+string(b))
			w.WriteHeader(status)
		}))
		defer server.Close()
		s := sinkAt(t, server.URL+"/heads?key=hunter2", "abc")
		must(t, s.Keep(t.Context(), line))
		status = http.StatusBadGateway
		if err := s.Keep(t.Context(), line); err == nil || !strings.Contains(err.Error(), "502") {
			t.Errorf("an answer of 502: got %v", err)
		}
		want := "POST millpond Bearer abc " + string(line)
		if !slices.Equal(got, []string{want, want}) {
			t.Errorf("got %q; want %q twice", got, want)
		}
		server.Close()
		err := s.Keep(t.Context(), line)
		if err == nil || strings.Contains(err.Error()+s.String(), "hunter2") {
			t.Errorf("nobody there: got %v of %s; want an error without the secret", err, s)
		}
	})
	for _, bad := range []string{"", "heads", "file://host/x", "syslog://host", "syslog:x", "ftp://host/", "https:///x"} {
		if s, err := audit.SinkAt(bad, func(*url.URL) (func(context.Context, []byte) error, error) { return nil, nil }); err == nil {
			t.Errorf("%q: got %v; want an error", bad, s)
		}
	}
}

// A flaky sink fails as often as it is told.
type flaky struct {
	fail int
	got  []string
}

func (f *flaky) String() string { return "flaky" }

func (f *flaky) Keep(_ context.Context, line []byte) error {
	if f.fail > 0 {
		f.fail--
		return errors.New("not now")
	}
	f.got = append(f.got, string(line))
	return nil
}

// Heads get to every sink once; one that is ill gets the newest when it is well again, and keeps no other from it.
func TestHeadsGoElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c, err := sql.Open(context.Background(), filepath.Join(dir, "data"), sql.Options{})
		must(t, err)
		var words bytes.Buffer
		n, err := audit.Open(context.Background(), filepath.Join(dir, "heads"), secrets{}, c, audit.Options{Log: slog.New(slog.NewTextHandler(&words, nil))})
		must(t, err)
		well, ill := &flaky{}, &flaky{fail: 2}
		n.SendTo(well, ill)
		emit(t, c, 1)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); n.Run(ctx) }()
		for range 4 { // one, three, five and seven are the heads of four minutes
			synctest.Wait()
			emit(t, c, 2)
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		time.Sleep(10 * time.Minute) // nothing happens
		cancel()
		<-done
		for _, one := range []struct {
			name string
			got  []string
			want []int64
		}{{"well", well.got, []int64{1, 3, 5, 7, 9}}, {"ill", ill.got, []int64{5, 7, 9}}} {
			heads, problems, err := audit.Read(strings.NewReader(strings.Join(one.got, "")), n.PublicKey())
			must(t, err)
			var seqs []int64
			for _, h := range heads {
				seqs = append(seqs, h.Seq)
			}
			if !slices.Equal(seqs, one.want) || problems != nil {
				t.Errorf("%s: got heads %v, %q; want %v", one.name, seqs, problems, one.want)
			}
		}
		if s := words.String(); strings.Count(s, "it is tried again") != 2 || strings.Count(s, "kept again") != 1 {
			t.Errorf("the log: %s", s)
		}
		verify(t, c, n.PublicKey(), 5, "", "", []byte(strings.Join(well.got, "")))
		must(t, n.Close())
		must(t, c.Close())
	})
}

// TestHeadsReadsBackTheEnd: of a long file the end is read, from the beginning of a line on.
func TestHeadsReadsBackTheEnd(t *testing.T) {
	dir := t.TempDir()
	path, s := filepath.Join(dir, "heads"), secrets{}
	c := opened(t, filepath.Join(dir, "data"))
	n := notary(t, path, s, c, audit.Options{})
	emit(t, c, 1)
	note(t, n, 1)
	must(t, n.Close())
	line, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, bytes.Repeat(line, 3<<19/len(line)), 0o600))
	n = notary(t, path, s, c, audit.Options{})
	heads, problems, err := n.Heads()
	if want := 1 << 20 / len(line); err != nil || problems != nil || len(heads) < want-1 || len(heads) > want {
		t.Errorf("%d heads, %q, %v; want %d, each whole", len(heads), problems, err, want)
	}
}

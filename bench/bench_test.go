package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"millpond/internal/cli"
)

// TestMain lets the tests' program play its roles, as the command does, and that of the pond.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		signals := make(chan os.Signal, 4)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		os.Exit(cli.Main(context.Background(), cli.Process{Args: os.Args[1:], Out: os.Stdout, Err: os.Stderr, Version: "test", Signals: signals, Exit: os.Exit}))
	}
	if len(os.Args) > 2 && os.Args[1] == "role" {
		if err := runRole(os.Args[2], os.Args[3:]); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestCounts runs the groups whose figures are counts, which hold on every machine.
func TestCounts(t *testing.T) {
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("the kernel does not say what processes use: ", err)
	}
	self, err := os.Executable() // to build another program would take as long as all of this
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRig(t.Context(), options{quick: true, pond: self})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	var rows []Row
	r.print = func(row Row) { rows = append(rows, row) }
	for _, b := range []bench{{name: "herd", run: herd}, {name: "modules", run: modules}, {name: "start", run: start}} {
		if err := b.run(t.Context(), r); err != nil {
			t.Fatalf("%s: %v", b.name, err)
		}
		r.stopAll()
	}
	counts := []string{"upstream GETs", "upstream bytes", "errors", "zips fetched"}
	for _, count := range counts {
		i := slices.IndexFunc(rows, func(row Row) bool { return strings.Contains(row.What, count) })
		if i < 0 {
			t.Errorf("no row tells of %s", count)
		} else if rows[i].Verdict != "ok" {
			t.Errorf("got %+v, want ok", rows[i])
		}
	}
	for _, row := range rows {
		if row.Unit == "ns" && row.Pond <= 0 {
			t.Errorf("%s took nothing: %+v", row.What, row)
		}
	}
}

func TestCPUOf(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
		bad  bool
	}{
		{text: "2951353 7 1\n", want: 2951353},
		{text: "0 0 0", want: 0},
		{text: "", bad: true},
		{text: "many", bad: true},
	} {
		got, err := cpuOf([]byte(c.text))
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("cpuOf(%q) = %v, %v; want %v, an error: %t", c.text, got, err, c.want, c.bad)
		}
	}
}

func TestMemoryOf(t *testing.T) {
	status := "Name:\tpond\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n"
	if got, err := memoryOf([]byte(status), "VmRSS"); err != nil || got != 10<<20 {
		t.Errorf("VmRSS of %q: %v, %v; want %d", status, got, err, 10<<20)
	}
	if got, err := memoryOf([]byte(status), "VmSwap"); err == nil {
		t.Errorf("VmSwap of %q: %v, want an error", status, got)
	}
}

func TestReadHead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       head
		bad        bool
	}{
		{name: "plain", text: "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", want: head{200, 12}},
		{name: "in small letters", text: "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nX: y\r\n\r\n", want: head{200, 7}},
		{name: "unchanged", text: "HTTP/1.1 304 Not Modified\r\nEtag: \"1\"\r\n\r\n", want: head{304, 0}},
		{name: "without a length", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", bad: true},
		{name: "cut", text: "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n", bad: true},
		{name: "no answer", text: "SSH-2.0-OpenSSH_9.6 Debian\r\n\r\n", bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readHead(bufio.NewReader(strings.NewReader(c.text)))
			if (err != nil) != c.bad || err == nil && got != c.want {
				t.Errorf("got %+v, %v; want %+v, an error: %t", got, err, c.want, c.bad)
			}
		})
	}
}

func TestBlockFindsWrongBytes(t *testing.T) {
	b := newBlock("salt")
	whole, err := io.ReadAll(io.LimitReader(&pattern{b, 0}, 3<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.check(0, whole); err != nil {
		t.Errorf("the right bytes: %v", err)
	}
	if err := b.check(1<<20, whole[1<<20:]); err != nil {
		t.Errorf("the right bytes from the middle on: %v", err)
	}
	if err := b.check(0, whole[1<<20:]); err == nil {
		t.Error("bytes a mebibyte out of place pass")
	}
	whole[2<<20]++
	if err := b.check(0, whole); err == nil {
		t.Error("one wrong byte passes")
	}
	if err := newBlock("pepper").check(0, whole[4:100]); err == nil {
		t.Error("the bytes of another file pass")
	}
}

// TestGoods: what is made is what the documents say of it.
func TestGoods(t *testing.T) {
	g := goods{dir: t.TempDir(), files: map[string]*made{}}
	for _, path := range []string{"/simple/file-1000-a/", "/simple/page-40/", "/npm/pkg-8-800", "/npm/pkg-8-800/-/pkg-8-800-1.0.0.tgz",
		"/go/bench.example/mod-1000-a/@v/list", "/go/bench.example/mod-1000-a/@v/v1.0.0.info", "/go/bench.example/mod-1000-a/@v/v1.0.0.zip"} {
		m, err := g.get(path, "127.0.0.1:1")
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if again, err := g.get(path, "127.0.0.1:1"); err != nil || again != m {
			t.Errorf("%s is made anew each time: %v", path, err)
		}
		if info, err := os.Stat(m.name); err != nil || info.Size() != m.size || m.size == 0 {
			t.Errorf("%s: %+v does not fit its file: %v", path, m, err)
		}
	}
	page, file := g.files["/simple/file-1000-a/"], g.files["/files/"+wheelName(1000, "a")]
	text, err := os.ReadFile(page.name)
	if err != nil || file == nil || file.size != 1000 || !strings.Contains(string(text), file.sha256) {
		t.Errorf("the page %s does not name its file %+v: %v", text, file, err)
	}
	if m, err := g.get("/elsewhere", "127.0.0.1:1"); err == nil {
		t.Errorf("/elsewhere is %+v, want an error", m)
	}
}

func TestSendChecksAnswers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := (&rig{self: os.Args[0]}).bare(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	all, err := dial(t.Context(), p.addr, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(all)
	b, err := send(t.Context(), all, p.addr, request{path: "/file"}, 100)
	if err != nil || b.n != 100 || b.size != 10 || len(b.latency) != 100 || !slices.IsSorted(b.latency) {
		t.Errorf("100 requests: got %d of %d bytes, %d times, %v", b.n, b.size, len(b.latency), err)
	}
	if _, err := send(t.Context(), all, p.addr, request{path: "/missing"}, 4); err == nil {
		t.Error("a burst of 404 passes")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := send(ctx, all, p.addr, request{path: "/file"}, 4); err == nil {
		t.Error("a burst after the end of its context passes")
	}
}

func TestFigure(t *testing.T) {
	for _, c := range []struct {
		v          float64
		unit, want string
	}{
		{1500, "ns", "1.50 µs"}, {23.5e6, "ns", "23.5 ms"}, {2e9, "ns", "2 s"}, {50, "B", "50 B"}, {20.3e6, "B", "20.3 MB"},
		{117e6, "B", "117 MB"}, {1, "", "1"}, {0, "", "0"}, {41341.4, "1/s", "41341 /s"},
	} {
		if got := figure(c.v, c.unit); got != c.want {
			t.Errorf("figure(%v, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestAims(t *testing.T) {
	r := Row{Unit: "ns", Pond: 15}
	for _, c := range []struct {
		name string
		row  Row
		want string
	}{
		{"a ratio that is kept", r.against("ref", 10).ratioAtMost(1.5), "ok"},
		{"a ratio that is not", r.against("ref", 9).ratioAtMost(1.5), "miss"},
		{"a figure that is kept", r.atMost(15), "ok"},
		{"a figure that is not", r.atMost(14), "miss"},
		{"a rate that is reached", r.atLeast(15), "ok"},
		{"a rate that is not", r.atLeast(16), "miss"},
		{"a distance that is kept", r.against("ref", 10).moreAtMost(5), "ok"},
		{"a distance that is not", r.against("ref", 10).moreAtMost(4), "miss"},
		{"no reference", r.missing("nginx is not installed"), ""},
	} {
		if c.row.Verdict != c.want {
			t.Errorf("%s: got %+v, want %q", c.name, c.row, c.want)
		}
	}
}

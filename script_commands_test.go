package millpond_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"millpond/fetch/faulty"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdUpstream starts an upstream, or lays more packages on it: upstream FORMAT [GOOD…]; see parseGood.
func cmdUpstream(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: upstream FORMAT ['PACKAGE@VERSION needs PACKAGE…']…")
	}
	s := sceneOf(ts)
	stock, ok := stocks[args[0]]
	if !ok {
		ts.Fatalf("no upstream of format %s can be made", args[0])
	}
	up := s.upstreams[args[0]]
	if up == nil {
		var err error
		up, err = faulty.Start(faulty.Plain)
		ts.Check(err)
		s.upstreams[args[0]] = up
	}
	goods := make([]good, len(args)-1)
	for i, arg := range args[1:] {
		var err error
		goods[i], err = parseGood(arg)
		ts.Check(err)
	}
	path, settings, err := stock(up, goods)
	ts.Check(err)
	ts.Setenv("UP_"+strings.ToUpper(args[0]), up.URL+path)
	for name, value := range settings {
		ts.Setenv(name, value)
	}
}

// A good is a package that an upstream has.
type good struct {
	name, version string
	needs         []string
	published     time.Time
	yanked        string // why; "" if it is not
	deprecated    string
	vulnerable    string // what an advisory says of it
	sdist         bool   // instead of a wheel
	size          int64  // at least, of the file
}

// parseGood reads PACKAGE@VERSION, and behind it, in any order: needs PACKAGE…, ago DURATION (long ago, if nothing is said),
// yanked WORD…, deprecated WORD…,
// vulnerable WORD…, sdist, size BYTES.
func parseGood(arg string) (good, error) {
	fields := strings.Fields(arg)
	at := strings.LastIndex(fields[0], "@")
	if at <= 0 {
		return good{}, fmt.Errorf("%q is not PACKAGE@VERSION", fields[0])
	}
	g := good{name: fields[0][:at], version: fields[0][at+1:], published: longAgo}
	about := ""
	for _, word := range fields[1:] {
		switch word {
		case "needs", "ago", "yanked", "deprecated", "vulnerable", "sdist", "size":
			about = word
			g.sdist = g.sdist || word == "sdist"
			continue
		}
		var err error
		switch about {
		case "needs":
			g.needs = append(g.needs, word)
		case "yanked":
			g.yanked = strings.TrimSpace(g.yanked + " " + word)
		case "deprecated":
			g.deprecated = strings.TrimSpace(g.deprecated + " " + word)
		case "vulnerable":
			g.vulnerable = strings.TrimSpace(g.vulnerable + " " + word)
		case "size":
			g.size, err = strconv.ParseInt(word, 10, 64)
		case "ago":
			var ago time.Duration
			ago, err = time.ParseDuration(word)
			g.published = time.Now().Add(-ago).UTC().Truncate(time.Second)
		default:
			err = fmt.Errorf("what is %q?", word)
		}
		if err != nil {
			return good{}, fmt.Errorf("%q: %w", arg, err)
		}
	}
	return g, nil
}

func upstreamOf(ts *testscript.TestScript, format string) *faulty.Server {
	up := sceneOf(ts).upstreams[format]
	if up == nil {
		ts.Fatalf("there is no upstream of format %s", format)
	}
	return up
}

// cmdOrder orders an upstream to misbehave: order FORMAT PATH VERB…, order FORMAT refuse, order FORMAT accept.
func cmdOrder(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: order FORMAT PATH VERB… | order FORMAT refuse | order FORMAT accept")
	}
	up := upstreamOf(ts, args[0])
	switch args[1] {
	case "refuse":
		up.Refuse()
	case "accept":
		ts.Check(up.Accept())
	default:
		up.Order(args[1], args[2:]...)
	}
}

// cmdAsked checks how often an upstream was asked: asked FORMAT PATH N, where PATH * is any. "asked FORMAT forget" begins
// anew.
func cmdAsked(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 2 && args[1] == "forget" && !neg {
		upstreamOf(ts, args[0]).Forget()
		return
	}
	if len(args) != 3 {
		ts.Fatalf("usage: asked FORMAT PATH N | asked FORMAT forget")
	}
	up, path := upstreamOf(ts, args[0]), args[1]
	if path == "*" {
		path = ""
	}
	got := fmt.Sprint(up.Count("", path))
	if (got == args[2]) == neg {
		var all strings.Builder
		for _, r := range up.Requests("") {
			fmt.Fprintf(&all, "\n%s %s %s", r.Method, r.Path, r.Header.Get("Range"))
		}
		ts.Fatalf("upstream %s was asked %s times for %s, want %s; all it was asked:%s", args[0], got, args[1], args[2], all.String())
	}
}

// cmdGate holds back an upstream's answers behind N bytes: gate FORMAT PATH N, gate FORMAT PATH wait (until one is held
// back), gate FORMAT PATH open.
func cmdGate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: gate FORMAT PATH N | gate FORMAT PATH wait | gate FORMAT PATH open")
	}
	s, at := sceneOf(ts), args[0]+" "+args[1]
	up := upstreamOf(ts, args[0])
	gate := s.gates[at]
	switch {
	case args[2] != "wait" && args[2] != "open":
		n, err := strconv.ParseInt(args[2], 10, 64)
		ts.Check(err)
		s.gates[at] = up.Gate(args[1], n)
	case gate == nil:
		ts.Fatalf("there is no gate at %s", at)
	case args[2] == "open":
		gate.Open()
	default:
		select {
		case <-gate.Reached:
		case <-time.After(2 * time.Minute):
			ts.Fatalf("nothing has come to the gate at %s in two minutes", at)
		}
	}
}

// cmdGet gets a URL into the file "got", its status and headers into "got.head": get URL ['Header: value']…. @FILE is the URL
// that a file holds. It trusts the authority in the file that $CA names. With ! it wants a refusal.
func cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: get URL ['Header: value']…")
	}
	if file, ok := strings.CutPrefix(args[0], "@"); ok {
		args[0] = strings.TrimSpace(ts.ReadFile(file))
	}
	req, err := http.NewRequest("GET", args[0], nil)
	ts.Check(err)
	for _, header := range args[1:] {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if ca := ts.Getenv("CA"); ca != "" {
		pem, err := os.ReadFile(ts.MkAbs(ca))
		ts.Check(err)
		transport.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		ts.Fatalf("get %s: %v", args[0], err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		ts.Fatalf("get %s: %s and then %v", args[0], resp.Status, err)
	}
	var head bytes.Buffer
	fmt.Fprintln(&head, resp.Status)
	resp.Header.Write(&head)
	ts.Check(os.WriteFile(ts.MkAbs("got"), body.Bytes(), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("got.head"), head.Bytes(), 0o644))
	if refused := resp.StatusCode >= 400; refused != neg {
		ts.Fatalf("get %s: %s\n%s", args[0], resp.Status, body.Bytes())
	}
}

// cmdDamage flips a bit of the blob in the pond's data that has the bytes of a file: damage FILE.
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage FILE")
	}
	good, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	found := false
	ts.Check(filepath.WalkDir(filepath.Join(ts.Getenv("MILLPOND_DATA"), "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(b, good) {
			return err
		}
		found = true
		b[len(b)/2] ^= 1
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o600)
	}))
	if !found {
		ts.Fatalf("no blob has the bytes of %s", args[0])
	}
}

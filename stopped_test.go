package millpond_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"millpond/fetch/faulty"
)

// lay puts a package of so many wheels on the upstream, in place of what was there of it, and returns their names.
func (v *victim) lay(name string, n int, size int64) (files []string) {
	v.t.Helper()
	var goods []good
	for i := range n {
		g := good{name: name, version: fmt.Sprintf("1.%d", i), published: longAgo, size: size + int64(i)}
		file, body, _, err := wheel(g)
		if err != nil {
			v.t.Fatal(err)
		}
		v.cold[file] = coldWheel{name, body}
		goods, files = append(goods, g), append(files, file)
	}
	if _, _, err := stockPyPI(v.up, goods); err != nil {
		v.t.Fatal(err)
	}
	return files
}

// listens reports whether the pond takes connections.
func (v *victim) listens() bool {
	c, err := net.Dial("tcp", strings.TrimPrefix(v.base, "http://"))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// lookUntil looks again and again at the pond, of which nothing else tells.
func (v *victim) lookUntil(what string, reached func() bool) {
	v.t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(2 * time.Minute); !reached(); <-look.C {
		if time.Now().After(end) {
			v.t.Fatalf("in vain waited until %s; the pond said:\n%s", what, v.log())
		}
	}
}

// P06, F42: the program is told to stop in the middle of a hundred downloads, five of them followed by another reader, and ten
// uploads. It takes no more connections; all of them end well, and then it does.
func TestF42StopsUnderLoad(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	v.setUp()
	files := v.lay("many", 100, 40_000)
	v.send("", "GET", "/pypi/simple/many/", nil)
	gates := make([]*faulty.Gate, len(files))
	for i, file := range files {
		gates[i] = v.up.Gate("/files/"+file, int64(len(v.cold[file].body)/2))
	}
	open := func() {
		for _, g := range gates {
			g.Open()
		}
	}
	t.Cleanup(open)
	var clients sync.WaitGroup
	for i, file := range append(files, files[:5]...) {
		clients.Go(func() {
			status, got, err := v.send("", "GET", "/pypi/packages/many/-/"+file, nil)
			if err != nil || status != 200 || !bytes.Equal(got, v.cold[file].body) {
				t.Errorf("reader %d, of %s: %d, %d bytes, %v; want %d right ones", i, file, status, len(got), err, len(v.cold[file].body))
			}
		})
	}
	rest := make(chan struct{})
	var sent sync.WaitGroup
	for i := range 10 {
		file, body, _, err := wheel(good{name: "ours-x", version: fmt.Sprintf("1.%d", i), size: 50_000})
		if err != nil {
			t.Fatal(err)
		}
		v.goods[file] = &acknowledged{good: good{name: "ours-x"}, file: file, body: body}
		sent.Add(1)
		clients.Go(func() {
			status, said, err := v.upload(file, body, sent.Done, rest)
			if err != nil || status != 200 {
				t.Errorf("publish %s: %d %.200q, %v", file, status, said, err)
			}
		})
	}
	v.lookUntil("as many downloads run as one upstream is asked for", func() bool {
		n := 0
		for _, g := range gates {
			select {
			case <-g.Reached:
				n++
			default:
			}
		}
		return n >= 64 // the others wait for a place
	})
	sent.Wait()
	v.lookUntil("all readers have come", func() bool {
		_, figures, err := v.send("", "GET", "/-/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]int{}
		for _, m := range figure.FindAllSubmatch(figures, -1) {
			if n[string(m[1])], err = strconv.Atoi(string(m[2])); err != nil {
				t.Fatal(err)
			}
		}
		return n["fills"]+n["fill_waiting"] >= len(files) && n["connections"] >= len(files)+5+10
	})
	if err := v.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	v.lookUntil("it takes no more connections", func() bool { return !v.listens() })
	select {
	case <-v.ended:
		t.Fatal("the pond ended in the middle of downloads and uploads")
	default:
	}
	open()
	close(rest)
	clients.Wait()
	<-v.ended
	if code := v.process.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the pond ended with %d, want 0; it said:\n%s", code, v.log())
	}
	v.start()
	v.up.Refuse()
	for _, file := range files {
		v.served("many", file, v.cold[file].body)
	}
	for _, a := range v.goods {
		v.served(a.name, a.file, a.body)
	}
}

var figure = regexp.MustCompile(`(?m)^millpond_(fills|fill_waiting|connections) (\d+)$`)

// patient is a client that sends no body before it is asked for it, so that who has sent some of one knows that it is read.
var patient = &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}

// upload publishes a wheel. It sends one half, says so, and sends the other when it may.
func (v *victim) upload(file string, body []byte, half func(), rest <-chan struct{}) (int, []byte, error) {
	r, w := io.Pipe()
	req, err := http.NewRequest("POST", v.base+"/-/api/repositories/pypi/publish/"+file, r)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+v.publisher)
	req.Header.Set("Expect", "100-continue")
	go func() { // ends with the request
		w.Write(body[:len(body)/2])
		half()
		<-rest
		w.Write(body[len(body)/2:])
		w.Close()
	}()
	resp, err := patient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	return resp.StatusCode, said, err
}

// F38: the program may open few files, and more clients come than that. It goes on, what is held is served to those who get
// in, and when the crowd has gone all is well.
func TestF38DescriptorsRunOut(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	v.limits = "ulimit -n 128; "
	v.start()
	files := v.lay("many", 150, 3000)
	v.send("", "GET", "/pypi/simple/many/", nil)
	held := files[:20]
	for _, file := range held {
		v.served("many", file, v.cold[file].body)
	}
	var idle []net.Conn
	for range 100 {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(v.base, "http://"), 5*time.Second)
		if err != nil {
			break // as many as it lets in
		}
		idle = append(idle, c)
	}
	var clients sync.WaitGroup
	var good, sentAway atomic.Int64
	for i := range 150 {
		clients.Go(func() {
			file := files[(i*7)%len(files)]
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
			resp, err := client.Get(v.base + "/pypi/packages/many/-/" + file)
			if err != nil {
				sentAway.Add(1) // closed, or not let in
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			switch {
			case err != nil || resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests:
				sentAway.Add(1)
			case resp.StatusCode != 200 || !bytes.Equal(got, v.cold[file].body):
				t.Errorf("%s: %d, %d bytes %.200q", file, resp.StatusCode, len(got), got)
			default:
				good.Add(1)
			}
		})
	}
	clients.Wait()
	for _, c := range idle {
		c.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	v.lookUntil("a client gets in again", func() bool {
		status, _, err := v.send("", "GET", "/-/readyz", nil)
		return err == nil && status == 200
	})
	for _, file := range files {
		v.served("many", file, v.cold[file].body)
	}
	select {
	case <-v.ended:
		t.Errorf("the pond has ended:\n%s", v.log())
	default:
	}
	if out := v.command("", "check", "--read-data"); !strings.Contains(out, "no damage") {
		t.Errorf("check: %s", out)
	}

	t.Logf("%d idle connections; of the crowd %d were served and %d sent away", len(idle), good.Load(), sentAway.Load())
}

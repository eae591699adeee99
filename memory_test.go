package millpond_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
)

var mostResident = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// P11, F38: the whole program, told of 256 MiB as it is by a control group of that size, under all the load that it takes: many
// readers of one large cold file, hundreds of other cold files, and a long index. It never has more.
func TestP11MemoryAtFullLoad(t *testing.T) {
	if os.Getenv("MILLPONDTEST_LONG") == "" {
		t.Skip("it takes half a minute: ./test.sh --long runs it")
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				t.Skip("the race detector takes more memory than the program")
			}
		}
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("this system does not tell how much memory a program has had")
	}
	v := newVictim(t)
	v.limits = "export GOMEMLIMIT=230MiB; " // 90 % of 256 MiB, as the program itself has it in such a group
	v.start()
	large := v.lay("large", 1, 150<<20)[0]
	many := v.lay("many", 400, 300_000)
	long := v.lay("long", 10_000, 1)
	for _, name := range []string{"large", "many", "long"} {
		if status, _, err := v.send("", "GET", "/pypi/simple/"+name+"/", nil); err != nil || status != 200 {
			t.Fatalf("the page of %s: %d, %v", name, status, err)
		}
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}
	get := func(name, file string) {
		resp, err := client.Get(v.base + "/pypi/packages/" + name + "/-/" + file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
		defer resp.Body.Close()
		same := &compare{want: v.cold[file].body}
		if n, err := io.Copy(same, resp.Body); err != nil || resp.StatusCode != 200 || same.wrong || n != int64(len(same.want)) {
			t.Errorf("%s: %d, %d bytes of %d, other bytes %t, %v", file, resp.StatusCode, n, len(same.want), same.wrong, err)
		}
	}
	var clients sync.WaitGroup
	for range 40 {
		clients.Go(func() { get("large", large) })
	}
	next := make(chan string)
	for range 100 {
		clients.Go(func() {
			for file := range next {
				get("many", file)
			}
		})
	}
	for i := range 20 {
		clients.Go(func() {
			accept := []string{"text/html", "application/vnd.pypi.simple.v1+json"}[i%2]
			for range 5 {
				req, _ := http.NewRequest("GET", v.base+"/pypi/simple/long/", nil)
				req.Header.Set("Accept", accept)
				resp, err := client.Do(req)
				if err != nil {
					t.Errorf("the long page: %v", err)
					return
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
					t.Errorf("the long page: %d, %v", resp.StatusCode, err)
				}
				resp.Body.Close()
			}
		})
	}
	for _, file := range many {
		next <- file
	}
	close(next)
	clients.Wait()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := mostResident.FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files of 3 packages; it had %d MiB at most", 1+len(many)+len(long), kib>>10)
	if kib > 256<<10 {
		t.Errorf("it had %d MiB, want 256 at most", kib>>10)
	}
}

// compare is a Writer that compares what is written with bytes, and keeps nothing.
type compare struct {
	want  []byte
	at    int
	wrong bool
}

func (c *compare) Write(p []byte) (int, error) {
	end := c.at + len(p)
	c.wrong = c.wrong || end > len(c.want) || !bytes.Equal(p, c.want[c.at:min(end, len(c.want))])
	c.at = end
	return len(p), nil
}

package pear

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/repo"
)

// TestCase07Redirects: they are followed here, as far as those of any upstream, and the client is never sent anywhere. To another
// host they lead over https alone.
func TestCase07Redirects(t *testing.T) {
	other := faulty.New(t)
	rs := releases("1.0.0")
	chain := func(up *faulty.Server, path, last string, n int) {
		for i := range n {
			to := fmt.Sprintf("/hop%d%s", i+1, path)
			if i == n-1 {
				to = last
			}
			from := path
			if i > 0 {
				from = fmt.Sprintf("/hop%d%s", i, path)
			}
			up.Order(from, "always redirect "+to)
		}
	}
	const list, archive = "/rest/r/alpha/allreleases2.xml", "/get/Alpha-1.0.0.tgz"
	for _, c := range []struct {
		name   string
		hops   int
		to     string // where the last of them leads
		status int
	}{{"five, one after another", 5, "/there", 200}, {"round and round", 6, "", 503}, {"to another host, and not by https", 1, other.URL, 503}} {
		h := newHouse(t, "")
		lay(h.Up, testChannel, testName, "http", rs...)
		lay(other, testChannel, testName, "http", rs...)
		plain := string(archiveOf(testChannel, testName, "1.0.0", "stable", 0))
		for path, kind := range map[string]string{list: typeXML, archive: typeArchive} {
			resp, err := http.Get(other.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			h.Up.Put("/there"+path, faulty.Object{Body: body, Type: kind})
		}
		for _, path := range []string{list, archive} {
			chain(h.Up, path, c.to+path, c.hops)
			w := asked(h, root+path)
			want(t, c.name+" "+path, w, c.status)
			if to := w.Header().Get("Location"); to != "" {
				t.Errorf("%s %s: the client is sent to %s", c.name, path, to)
			}
			if c.status == 200 && path == archive && w.Body.String() != plain {
				t.Errorf("%s: other bytes came", c.name)
			}
			if c.status == 503 && w.Header().Get("Retry-After") == "" {
				t.Errorf("%s %s: it is not said when to come again", c.name, path)
			}
		}
	}
}

// TestCase18CutOff: a pond that may ask nobody goes on serving the release that it holds, and says of another what is missing.
func TestCase18CutOff(t *testing.T) {
	h := newHouse(t, "")
	rs := releases("1.0.0", "1.1.0")
	lay(h.Up, testChannel, testName, "http", rs...)
	held := []string{"/channel.xml", "/rest/r/alpha/allreleases2.xml", "/rest/r/alpha/allreleases.xml", "/rest/p/alpha/info.xml", "/rest/r/alpha/1.1.0.xml", "/rest/r/alpha/deps.1.1.0.txt", "/get/Alpha-1.1.0.tgz"}
	before := map[string]string{}
	for _, path := range held {
		w := asked(h, root+path)
		want(t, path, w, 200)
		before[path] = w.Body.String()
	}
	h.Up.Forget()
	h.Configure(repo.Settings{Offline: true}, h.Config("r", h.Up))
	h.Pass(24 * time.Hour)
	for _, path := range held {
		w := asked(h, root+path)
		want(t, "cut off: "+path, w, 200)
		if strings.Contains(path, "allreleases") {
			if body := w.Body.String(); !strings.Contains(body, "<v>1.1.0</v>") || strings.Contains(body, "<v>1.0.0</v>") {
				t.Errorf("cut off, %s is %.300q, want what can be had: 1.1.0 alone", path, body)
			}
		} else if w.Body.String() != before[path] {
			t.Errorf("cut off, %s is %.200q, and was %.200q", path, w.Body, before[path])
		}
	}
	want(t, "an archive that is not held", asked(h, root+"/get/Alpha-1.0.0.tgz"), 503, "offline", "alpha-1.0.0.tgz")
	want(t, "a package that is not known", asked(h, root+"/rest/r/beta/allreleases2.xml"), 503, "offline")
	h.Up.Want(t, "", 0)
}

package millpond_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"millpond"
	"millpond/fetch/faulty"
)

// step changes a thing; the pond must agree.
func (g *grid) step(p *promise, state, token, method, path string, body []byte) []byte {
	s := step{asked: int(g.platter.lines.Load()), acked: never, state: state}
	status, said, id, err := g.sendNamed(token, method, path, body)
	if err != nil || status >= 300 {
		g.t.Errorf("%s: %s %s: %d %.300q, %v", p.name, method, path, status, said, err)
	}
	s.request = id
	p.steps = append(p.steps, s)
	return said
}

func (g *grid) promise(name, first string, look func() string) *promise {
	p := &promise{name: name, first: first, look: look}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.promises = append(g.promises, p)
	return p
}

// at is what is served at a path.
func (g *grid) at(path string) string {
	status, got, err := g.send("", "GET", path, nil)
	switch {
	case err != nil:
		return err.Error()
	case status == http.StatusOK:
		return millpond.SHA256(got).Short()
	case status == http.StatusNotFound || status == http.StatusGone:
		return "absent"
	}
	return fmt.Sprint(status)
}

// wheel publishes one; some are yanked, deleted or taken down afterwards.
func (g *grid) wheel(n int) {
	one := good{name: fmt.Sprintf("ours-%d", n%2), version: fmt.Sprintf("1.%d", n), size: []int64{100, 3000, 20_000}[n%3]}
	file, body, _, err := wheel(one)
	if err != nil {
		g.t.Error(err)
		return
	}
	p := g.promise(file, "absent, unlisted", func() string {
		_, page, err := g.send("", "GET", "/pypi/simple/"+one.name+"/", nil)
		var listed struct{ Files []map[string]any }
		if err == nil && bytes.HasPrefix(page, []byte("{")) {
			err = json.Unmarshal(page, &listed)
		}
		if err != nil {
			return fmt.Sprintf("%.200q, %v", page, err)
		}
		how := "unlisted"
		for _, f := range listed.Files {
			if f["filename"] == file {
				if how = "listed"; f["yanked"] != nil && f["yanked"] != false {
					how = "yanked"
				}
			}
		}
		return g.at("/pypi/packages/"+one.name+"/-/"+file) + ", " + how
	})
	is := millpond.SHA256(body).Short()
	g.step(p, is+", listed", g.publisher, "POST", "/-/api/repositories/pypi/publish/"+file, body)
	about := fmt.Appendf(nil, `{"version": %q, "why": "the test"}`, one.version)
	switch n % 4 {
	case 1:
		g.step(p, is+", yanked", g.publisher, "POST", "/-/api/repositories/pypi/packages/"+one.name+"/yank", about)
	case 2:
		g.step(p, "absent, unlisted", g.publisher, "POST", "/-/api/repositories/pypi/packages/"+one.name+"/delete", about)
	case 3:
		g.step(p, "403, unlisted", g.admin, "POST", "/-/api/takedowns", fmt.Appendf(nil, `{"purl": "pkg:pypi/%s@%s", "why": "the test"}`, one.name, one.version))
	}
}

// thing fills a file from the upstream, publishes the same bytes, and puts others in their place.
func (g *grid) thing(n int) {
	body := bytes.Repeat(fmt.Appendf(nil, "thing %d\n", n), []int{10, 500, 4000}[n%3])
	is := millpond.SHA256(body).Short()
	from := fmt.Sprintf("/things/%d", n)
	g.up.Put(from, faulty.Object{Body: body, Modified: longAgo, ETag: `"` + is + `"`})
	filled := fmt.Sprintf("/raw/%d", n)
	g.promise("a fill of "+filled, "whole or not held", func() string {
		if got := g.at(filled); got != is && got != "503" && got != "absent" { // nobody is asked by then
			return got
		}
		return "whole or not held"
	})
	if got := g.at(filled); got != is {
		g.t.Errorf("%s: got %s, want %s", filled, got, is)
	}
	path := fmt.Sprintf("/raw/mine/%d", n)
	p := g.promise(path, "absent", func() string { return g.at(path) })
	g.step(p, is, g.publisher, "PUT", path, body)
	if n%2 == 1 {
		other := append(body, "changed"...)
		g.step(p, millpond.SHA256(other).Short(), g.publisher, "PUT", path, other)
	}
	if n%4 == 2 {
		g.step(p, "absent", g.publisher, "DELETE", path, nil)
	}
}

// token makes one, and ends some.
func (g *grid) token(n int) {
	var made struct{ Secret, ID string }
	p := g.promise(fmt.Sprint("token ", n), "401", func() string {
		status, _, err := g.send(made.Secret, "GET", "/-/api/whoami", nil)
		return orFault(err, strconv.Itoa(status))
	})
	said := g.step(p, "200", g.publisher, "POST", "/-/api/tokens", []byte(`{"name": "one of many", "verbs": ["read"]}`))
	if err := json.Unmarshal(said, &made); err != nil || made.Secret == "" || made.ID == "" {
		g.t.Errorf("a token: %s, %v", said, err)
	} else if n%2 == 1 {
		g.step(p, "401", g.publisher, "DELETE", "/-/api/tokens/"+made.ID, nil)
	}
}

// grant gives a role, and takes some back.
func (g *grid) grant(n int) {
	names := fmt.Sprintf("theirs-%d-*", n)
	p := g.promise("grant of "+names, "none", func() string {
		_, said, err := g.send(g.admin, "GET", "/-/api/grants", nil)
		if err == nil && bytes.Contains(said, []byte(names)) {
			return "given"
		}
		return orFault(err, "none")
	})
	said := g.step(p, "given", g.admin, "POST", "/-/api/grants", fmt.Appendf(nil, `{"subject": "user:ci", "role": "publisher", "repository": "pypi", "names": %q}`, names))
	var made struct{ ID string }
	if err := json.Unmarshal(said, &made); err != nil || made.ID == "" {
		g.t.Errorf("a grant: %s, %v", said, err)
	} else if n%2 == 1 {
		g.step(p, "none", g.admin, "DELETE", "/-/api/grants/"+made.ID, nil)
	}
}

func orFault(err error, s string) string {
	if err != nil {
		return err.Error()
	}
	return s
}

// verify has the pond read its log, and compare it with heads; it returns the last of them.
func (g *grid) verify(heads ...string) (head, request string, err error) {
	status, said, request, err := g.sendNamed(g.admin, "POST", "/-/api/audit/verify", fmt.Appendf(nil, `{"heads": [%s]}`, strings.Join(heads, ", ")))
	var v struct {
		OK   bool
		Head json.RawMessage
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(said, &v) != nil || !v.OK {
		return "", "", fmt.Errorf("the log: %d %s, %v", status, said, err)
	}
	return string(v.Head), request, nil
}

// works lets people do things at once, each n times.
func (g *grid) works(from, to int) {
	var all sync.WaitGroup
	for _, do := range []func(int){g.wheel, g.thing, g.token, g.grant} {
		for half := range 2 {
			all.Go(func() {
				for n := from + half; n < to; n += 2 {
					do(n)
				}
			})
		}
	}
	all.Wait()
	s := step{acked: never}
	var err error
	if s.state, s.request, err = g.verify(); err != nil {
		g.t.Error(err)
	}
	g.heads = append(g.heads, s)
}

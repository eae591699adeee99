package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// runRole is this program as another process: bare ADDR DIR, upstream ADDR DIR, keeper ADDR DIR UPSTREAM,
// or copy BASE DIR PATH….
func runRole(name string, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("role %s: too few arguments", name)
	}
	var handler http.Handler
	switch name {
	case "bare":
		handler = bare(args[1])
	case "upstream":
		handler = &upstream{goods: goods{dir: args[1], files: map[string]*made{}}, requests: map[string]int{}}
	case "keeper":
		handler = &keeper{dir: args[1], upstream: args[2]}
	case "copy":
		return copyAll(args[0], args[1], args[2:])
	default:
		return fmt.Errorf("there is no role %s", name)
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	return http.Serve(l, handler)
}

// bare is what a Go program does at least: files by http.ServeContent, bodies from memory by one Write.
func bare(dir string) http.Handler {
	var mu sync.Mutex
	bodies := map[string][]byte{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{"application/octet-stream"}
		if size, ok := strings.CutPrefix(r.URL.Path, "/bytes/"); ok {
			mu.Lock()
			body := bodies[size]
			if n, err := strconv.Atoi(size); body == nil && err == nil {
				body = make([]byte, n)
				bodies[size] = body
			}
			mu.Unlock()
			h["Content-Length"] = []string{size}
			w.Write(body)
			return
		}
		if r.URL.Path == "/unchanged" {
			h["Etag"] = []string{`"1"`}
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if r.URL.Path == "/-/ready" {
			return
		}
		f, err := os.Open(filepath.Join(dir, filepath.Base(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.ServeContent(w, r, "", info.ModTime(), f)
	})
}

// copyAll is the plain client: it gets every path, eight at a time, and writes each body to a file.
func copyAll(base, dir string, paths []string) error {
	work := make(chan string)
	errs := make(chan error, 8)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	for range 8 {
		go func() {
			var failed error
			for path := range work {
				if err := copyOne(client, base, dir, path); err != nil && failed == nil {
					failed = err
				}
			}
			errs <- failed
		}()
	}
	for _, p := range paths {
		work <- p
	}
	close(work)
	var first error
	for range 8 {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func copyOne(client *http.Client, base, dir, path string) error {
	resp, err := client.Get(base + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, resp.Status)
	}
	f, err := os.Create(filepath.Join(dir, strings.ReplaceAll(path, "/", "_")))
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// An upstream serves goods that it makes when they are first asked for, and counts.
type upstream struct {
	goods
	mu       sync.Mutex // guards what follows
	requests map[string]int
	bytes    int64
	now      int           // requests under way
	most     int           // of them, at once
	well     chan struct{} // closed when it answers again; nil while it answers
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch path {
	case "/-/ready":
		return
	case "/-/asked":
		u.mu.Lock()
		defer u.mu.Unlock()
		json.NewEncoder(w).Encode(asked{u.requests, u.bytes, u.most})
		return
	case "/-/forget":
		u.mu.Lock()
		defer u.mu.Unlock()
		u.requests, u.bytes, u.most = map[string]int{}, 0, u.now
		return
	case "/-/hang", "/-/answer":
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.well != nil {
			close(u.well)
		}
		u.well = nil
		if path == "/-/hang" {
			u.well = make(chan struct{})
		}
		return
	}
	rate := int64(0)
	if rest, ok := strings.CutPrefix(path, "/rate/"); ok {
		text, rest, _ := strings.Cut(rest, "/")
		rate, _ = strconv.ParseInt(text, 10, 64)
		path = "/" + rest
	}
	u.mu.Lock()
	u.requests[path]++
	u.now++
	u.most = max(u.most, u.now)
	well := u.well
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		u.now--
		u.mu.Unlock()
	}()
	if well != nil {
		select {
		case <-well:
		case <-r.Context().Done():
			return
		}
	}
	m, err := u.get(path, r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	h := w.Header()
	h["Content-Type"], h["Etag"] = []string{m.kind}, []string{m.tag}
	if strings.HasPrefix(path, "/v2/") {
		h["Docker-Content-Digest"] = []string{"sha256:" + m.sha256}
	}
	f, err := os.Open(m.name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	out := &counted{ResponseWriter: w, rate: rate, began: time.Now()}
	http.ServeContent(out, r, "", m.at, f)
	u.mu.Lock()
	u.bytes += out.n
	u.mu.Unlock()
}

// counted counts the bytes of a body, and sends them no faster than it may. Without a rate the kernel sends them.
type counted struct {
	http.ResponseWriter
	rate  int64
	began time.Time
	n     int64
}

func (c *counted) ReadFrom(src io.Reader) (int64, error) {
	if c.rate > 0 {
		return io.CopyBuffer(struct{ io.Writer }{c}, src, make([]byte, 128<<10))
	}
	n, err := c.ResponseWriter.(io.ReaderFrom).ReadFrom(src)
	c.n += n
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n += int64(n)
	if c.rate > 0 {
		time.Sleep(time.Duration(float64(c.n)/float64(c.rate)*float64(time.Second)) - time.Since(c.began))
	}
	return n, err
}

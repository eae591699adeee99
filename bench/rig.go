package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A rig is what the groups of rows share: a folder, the built pond, an upstream, and what they have started.
type rig struct {
	options
	dir      string
	self     string // this program, for its roles
	print    func(Row)
	upstream *process
	running  []*process
	made     int // for names
}

func newRig(ctx context.Context, o options) (*rig, error) {
	r := &rig{options: o}
	var err error
	if r.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if r.dir, err = os.MkdirTemp("", "millpond-bench-"); err != nil {
		return nil, err
	}
	if r.pond == "" {
		r.pond = filepath.Join(r.dir, "millpond")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", r.pond, "millpond/cmd/millpond")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
		if said, err := build.CombinedOutput(); err != nil {
			r.close()
			return nil, fmt.Errorf("build the pond: %w\n%s", err, said)
		}
	}
	if r.upstream, err = r.role(ctx, "upstream", r.folder("upstream")); err != nil {
		r.close()
		return nil, err
	}
	r.running = nil // it runs to the end
	return r, nil
}

func (r *rig) close() {
	r.stopAll()
	if r.upstream != nil {
		r.upstream.stop()
	}
	if r.keep {
		fmt.Fprintln(os.Stderr, "kept:", r.dir)
		return
	}
	os.RemoveAll(r.dir)
}

func (r *rig) stopAll() {
	for _, p := range r.running {
		p.stop()
	}
	r.running = nil
}

// folder makes a folder of that name, or of one like it.
func (r *rig) folder(name string) string {
	r.made++
	dir := filepath.Join(r.dir, fmt.Sprintf("%s-%d", name, r.made))
	os.Mkdir(dir, 0o755) // what is put into it says if it is missing
	return dir
}

func (r *rig) start(p *process, err error) (*process, error) {
	if p != nil {
		r.running = append(r.running, p)
	}
	return p, err
}

// role starts this program again in another part: see runRole.
func (r *rig) role(ctx context.Context, name, dir string) (*process, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	return r.start(launch(ctx, name, addr, "/-/ready", filepath.Join(dir, "log"), r.self, "role", name, addr, dir))
}

// bare starts a Go server that does nothing but serve the files of a folder, and bodies of any size from memory.
func (r *rig) bare(ctx context.Context, files string) (*process, error) {
	p, err := r.role(ctx, "bare", files)
	if p != nil {
		p.name = "bare Go"
	}
	return p, err
}

// nginx starts nginx, or returns nil where it is not installed.
func (r *rig) nginx(ctx context.Context, files string, accessLog bool) (*process, error) {
	return r.start(startNginx(ctx, r.folder("nginx"), files, accessLog))
}

// A pond is a pond under measurement.
type pond struct {
	*process
	data string
}

// repositories is what ponds are configured with: as shipped, but for where they read from.
const repositories = `listen: %[1]s
data: %[2]s
repositories:
  pypi:
    format: pypi
    upstreams: [http://%[3]s/simple/]
  slow:
    format: pypi
    upstreams: [http://%[3]s/rate/125000000/simple/]
  ill:
    format: pypi
    fresh: 1ms
    upstreams: [{url: "http://%[3]s/simple/", first_byte: 500ms}]
  npm:
    format: npm
    upstreams: [http://%[3]s/npm/]
  golang:
    format: golang
    upstreams: [http://%[3]s/go/]
  hosted:
    format: golang
  maven:
    format: maven
    upstreams: [http://%[3]s/maven/]
  pear:
    format: pear
    upstreams: [http://%[3]s/pear/]
    upstream_channel: pear.bench.example
  cargo:
    format: cargo
    upstreams: [http://%[3]s/cargo/]
  rubygems:
    format: rubygems
    upstreams: [http://%[3]s/gems/]
  layers:
    format: maven
    upstreams: [http://%[3]s/layer/0/, http://%[3]s/layer/1/, http://%[3]s/layer/2/, http://%[3]s/layer/3/, http://%[3]s/layer/4/]
    merge: union
  raw:
    format: raw
  oci:
    format: oci
    upstreams: [http://%[3]s/]
  images:
    format: oci
  debian:
    format: debian
    upstreams: [http://%[3]s/debian/]
  apt:
    format: debian
    read: [anonymous]
`

// newPond starts an empty pond; with data it starts one on what is there.
func (r *rig) newPond(ctx context.Context, data ...string) (*pond, error) {
	dir := ""
	if len(data) == 1 {
		dir = data[0]
	} else {
		dir = r.folder("pond")
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	config := dir + ".yaml"
	if err := os.WriteFile(config, fmt.Appendf(nil, repositories, addr, dir, r.upstream.addr), 0o644); err != nil {
		return nil, err
	}
	p, err := r.start(launch(ctx, "pond", addr, "/-/readyz", dir+".log", r.pond, "serve", "--config", config))
	return &pond{p, dir}, err
}

// stop ends a process that the rig has started, before the group of rows does.
func (r *rig) stop(p *process) {
	for i, one := range r.running {
		if one == p {
			r.running = append(r.running[:i], r.running[i+1:]...)
			p.stop()
			return
		}
	}
}

// get asks a server once and returns the whole answer.
func get(ctx context.Context, address string, headers ...string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	if req.Header.Get("Accept-Encoding") == "" {
		req.Header.Set("Accept-Encoding", "identity") // net/http would ask for gzip, and unpack it unseen
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %.300s", address, resp.Status, b)
	}
	return b, resp.Header, err
}

const (
	pypiJSON = "Accept: application/vnd.pypi.simple.v1+json"
	npmShort = "Accept: application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"
	gzipped  = "Accept-Encoding: gzip"
)

// wheel finds the path of a project's only file, as pip would: by the page of a repository.
func (p *pond) wheel(ctx context.Context, repository, project string) (string, error) {
	page := "http://" + p.addr + "/" + repository + "/simple/" + project + "/"
	b, _, err := get(ctx, page, pypiJSON)
	if err != nil {
		return "", err
	}
	var doc struct{ Files []struct{ URL string } }
	if err := json.Unmarshal(b, &doc); err != nil {
		return "", err
	}
	if len(doc.Files) == 0 {
		return "", fmt.Errorf("%s lists no files", page)
	}
	base, err := url.Parse(page)
	if err != nil {
		return "", err
	}
	u, err := base.Parse(doc.Files[0].URL)
	if err != nil {
		return "", err
	}
	return u.EscapedPath(), nil
}

// warm asks for a path until the answer is a hit: what is held is recorded after the first body has gone out.
func (p *pond) warm(ctx context.Context, path string, headers ...string) (http.Header, error) {
	for began := time.Now(); time.Since(began) < 30*time.Second; { // a disk that has just been given gigabytes takes its time
		_, h, err := get(ctx, "http://"+p.addr+path, headers...)
		if err != nil {
			return nil, err
		}
		if strings.Contains(h.Get("Cache-Status"), "hit") {
			return h, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("%s is never a hit", path)
}

// asked is what an upstream has been asked for since the last forget.
type asked struct {
	Requests map[string]int // by path
	Bytes    int64
	Most     int // at once
}

func (r *rig) asked(ctx context.Context) (asked, error) {
	var a asked
	b, _, err := get(ctx, "http://"+r.upstream.addr+"/-/asked")
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(b, &a)
}

// forget makes the upstream count anew.
func (r *rig) forget(ctx context.Context) error { return r.order(ctx, "forget") }

// order tells the upstream to forget, to hang, or to answer again.
func (r *rig) order(ctx context.Context, verb string) error {
	_, _, err := get(ctx, "http://"+r.upstream.addr+"/-/"+verb)
	return err
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// An install is something that people do all day, with a client's caches empty.
type install struct {
	what    string
	command func(dir string) []string // an empty folder of its own
	env     func(dir string) []string
	through func(base string) []string // the environment that points the client at a pond
	rounds  int                        // in how many all take their turns, each first as often as the others: a multiple of three
}

var (
	withPip = install{
		what: "pip install flask numpy pandas requests cryptography",
		command: func(dir string) []string {
			return []string{"python3", "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check",
				"--target", filepath.Join(dir, "site"), "flask", "numpy", "pandas", "requests", "cryptography"}
		},
		env:     func(string) []string { return nil },
		through: func(base string) []string { return []string{"PIP_INDEX_URL=" + base + "pypi/simple/"} },
		rounds:  6, // it hardly waits for the network, and what it takes of the kernel's time differs by seconds
	}
	withNpm = install{
		what: "npm install express react webpack typescript eslint",
		command: func(string) []string {
			return []string{"npm", "install", "--silent", "--no-audit", "--no-fund", "express", "react", "webpack", "typescript", "eslint"}
		},
		env: func(dir string) []string {
			return []string{"npm_config_cache=" + filepath.Join(dir, "cache"), "npm_config_update_notifier=false"}
		},
		through: func(base string) []string { return []string{"npm_config_registry=" + base + "npm/"} },
		rounds:  3,
	}
	withGo = install{
		what:    "go mod download, of this program",
		command: func(string) []string { return []string{"go", "mod", "download"} },
		env: func(dir string) []string {
			return []string{"GOMODCACHE=" + filepath.Join(dir, "cache"), "GOFLAGS=-modcacherw", "GOWORK=off", "GOTOOLCHAIN=local"}
		},
		through: func(base string) []string { return []string{"GOPROXY=" + base + "golang"} },
		rounds:  3,
	}
)

// installs measures a real client on real packages, from where this machine's clients are set up to read: by itself, through a pond
// that holds nothing, and through one that holds all. The three take turns in who begins, for what a machine has just installed
// makes the next install of it quicker or slower; the best counts, for networks differ by the minute.
func installs(in install) func(ctx context.Context, r *rig) error {
	return func(ctx context.Context, r *rig) error {
		full, err := r.adopting(ctx, "")
		if err != nil {
			return err
		}
		if _, err := r.install(ctx, in, full.addr); err != nil {
			return err
		}
		var direct, cold, warm time.Duration
		turns := []func() error{
			func() error { return r.sooner(ctx, &direct, in, "") },
			func() error {
				empty, err := r.adopting(ctx, "")
				if err != nil {
					return err
				}
				defer r.stop(empty.process)
				return r.sooner(ctx, &cold, in, empty.addr)
			},
			func() error { return r.sooner(ctx, &warm, in, full.addr) },
		}
		for first := range in.rounds {
			for i := range turns {
				if err := turns[(first+i)%len(turns)](); err != nil {
					return err
				}
			}
		}
		r.stop(full.process)
		what := in.what
		if r.options.apart {
			what += ", the client on one processor, its pond on others"
		}
		r.print(Row{What: what + ", cold", Unit: "ns", Pond: float64(cold)}.against("direct", float64(direct)).ratioAtMost(1.1))
		r.print(Row{What: what + ", warm", Unit: "ns", Pond: float64(warm)}.against("direct", float64(direct)).ratioAtMost(1))
		return nil
	}
}

// sooner runs an install and keeps its time if it is the best so far; 0 is none.
func (r *rig) sooner(ctx context.Context, best *time.Duration, in install, addr string) error {
	took, err := r.install(ctx, in, addr)
	if err == nil && (*best == 0 || took < *best) {
		*best = took
	}
	return err
}

// adopting starts a pond without a configuration: it reads from where this machine's clients do. Its data are in dir; "" is a
// new one.
func (r *rig) adopting(ctx context.Context, dir string) (*pond, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		dir = r.folder("pond")
	}
	p, err := r.start(launch(ctx, "pond", addr, "/-/readyz", dir+".log",
		r.options.on(ponds, r.options.pond, "serve", "--data", dir, "--listen", addr)...))
	return &pond{p, dir}, err
}

// Processors, as taskset names them.
var (
	clients = "0"
	ponds   = fmt.Sprintf("1-%d", max(1, runtime.NumCPU()-1))
)

// on is a command that has only some processors to run on, where client and pond are to be apart.
func (o options) on(processors string, command ...string) []string {
	if !o.apart {
		return command
	}
	return append([]string{"taskset", "--cpu-list", processors}, command...)
}

// install runs one install in empty folders, from a pond's address or as this machine is set up.
func (r *rig) install(ctx context.Context, in install, addr string) (time.Duration, error) {
	dir, err := os.MkdirTemp(memory(), "millpond-bench-install-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir); err != nil {
		return 0, err
	}
	command := r.options.on(clients, in.command(dir)...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), in.env(dir)...)
	if addr != "" {
		cmd.Env = append(cmd.Env, in.through("http://"+addr+"/")...)
	}
	began := time.Now()
	said, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", in.what, err, last(said, 2000))
	}
	return time.Since(began), nil
}

// memory is a folder whose files are in memory, if this machine has one, else "": clients write so much that it would be the
// disk that is measured.
func memory() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err != nil || !info.IsDir() {
		return ""
	}
	return shm
}

// prepare gives clients what they look for in their folder: this program's own modules, and a package.
func prepare(dir string) error {
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return err
	}
	module := filepath.Dir(string(root))
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"name":"bench","version":"1.0.0","private":true}`), 0o644)
}

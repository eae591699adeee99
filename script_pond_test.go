package millpond_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdPond starts the pond, after stopping the one that runs: pond [serve's flags]. Upstreams that the script has are given
// to it, unless it is started with a configuration. The script's README lists the words that do something else.
func cmdPond(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("unsupported: ! pond")
	}
	s := sceneOf(ts)
	word := ""
	if len(args) > 0 {
		word = args[0]
	}
	switch word {
	case "stop":
		ts.Check(s.stop())
	case "kill":
		ts.Check(s.kill())
	case "ending":
		ts.Check(s.ending())
	case "reload":
		ts.Check(s.reload(len(args) > 1 && args[1] == "refused"))
	case "adopt":
		// As this machine's user runs it: the environment says which clients there are and how they are set up.
		ts.Check(s.start(ts, append(os.Environ(), "PATH="+ts.Getenv("PATH"), raceEnv()), args[1:]))
	default:
		if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--config") }) {
			// The formats of which the script has no upstream host only.
			for _, format := range formatsOfScripts {
				at := ts.Getenv("UP_" + strings.ToUpper(format))
				if at == "" {
					at = "none"
				}
				args = append(args, "--upstream", format+"="+at)
			}
		}
		env := []string{"GOENV=off", raceEnv()}
		names := []string{"PATH", "HOME", "WORK", "UP_SUMDB", "DOOR"}
		for _, format := range formatsOfScripts {
			names = append(names, "UP_"+strings.ToUpper(format))
		}
		for _, name := range names {
			env = append(env, name+"="+ts.Getenv(name))
		}
		ts.Check(s.start(ts, env, args))
	}
}

// formatsOfScripts are those whose upstreams a script's pond may have.
var formatsOfScripts = slices.Sorted(maps.Keys(stocks)) // never changed

func (s *scene) start(ts *testscript.TestScript, env, args []string) error {
	if err := s.stop(); err != nil {
		return err
	}
	// The script's PATH has the program, not the test's.
	program := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, "millpond")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			program = path
			break
		}
	}
	cmd := exec.Command(program, append([]string{"serve", "--listen", s.listen, "--data", ts.Getenv("MILLPOND_DATA")}, args...)...)
	cmd.Env, cmd.Dir = env, ts.Getenv("WORK")
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.pond = &process{Process: cmd.Process, ended: make(chan struct{})}
	go func(p *process) { // ends with the pond, which every script stops
		p.err = cmd.Wait()
		close(p.ended)
	}(s.pond)
	err = s.until("get ready", func() bool {
		said, err := os.ReadFile(s.log)
		return err == nil && bytes.Contains(said[before:], []byte("millpond test serves "))
	})
	if err != nil {
		return errors.Join(err, s.stop())
	}
	return nil
}

// A process is a pond that was started.
type process struct {
	*os.Process
	ended chan struct{}
	err   error // how it ended; to be read when ended is closed
}

func (s *scene) listens() bool {
	conn, err := net.Dial("tcp", s.listen)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// until waits for a state of the pond, another process, of which nothing tells but to look again.
func (s *scene) until(what string, reached func() bool) error {
	look := time.NewTicker(25 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(2 * time.Minute)
	for !reached() {
		select {
		case <-look.C:
			continue
		case <-s.pond.ended:
		case <-deadline:
		}
		said, _ := os.ReadFile(s.log)
		return fmt.Errorf("the pond did not %s; it said:\n%s", what, said)
	}
	return nil
}

// stop ends the pond as an operator would, and waits for its end. It must end well.
func (s *scene) stop() error {
	p := s.pond
	if p == nil {
		return nil
	}
	s.pond = nil
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	if p.err != nil {
		said, _ := os.ReadFile(s.log)
		return fmt.Errorf("the pond ended with %w; it said:\n%s", p.err, said)
	}
	return nil
}

// kill ends the pond as a power cut would.
func (s *scene) kill() error {
	p := s.pond
	if p == nil {
		return errors.New("there is no pond to kill")
	}
	s.pond = nil
	if err := p.Kill(); err != nil {
		return err
	}
	<-p.ended
	return nil
}

// ending tells the pond to end, and waits until it takes no more connections. Requests under way go on.
func (s *scene) ending() error {
	if s.pond == nil {
		return errors.New("there is no pond to end")
	}
	if err := s.pond.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	for look := time.NewTicker(25 * time.Millisecond); s.listens(); <-look.C {
	}
	return nil
}

// reload lets the pond read its configuration again, and waits until it has. It must take it, or refuse it.
func (s *scene) reload(refused bool) error {
	if s.pond == nil {
		return errors.New("there is no pond to reload")
	}
	before, err := s.reloads()
	if err != nil {
		return err
	}
	if err := s.pond.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	var after [2]string
	err = s.until("reload", func() bool {
		after, err = s.reloads()
		return err == nil && after != before
	})
	if err != nil {
		return err
	}
	if took := after[0] != before[0]; took == refused {
		said, _ := os.ReadFile(s.log)
		return fmt.Errorf("the pond took the configuration: %t; it said:\n%s", took, said)
	}
	return nil
}

// reloads are how often the pond has taken a configuration, and refused one, as its metrics say.
func (s *scene) reloads() (counts [2]string, err error) {
	resp, err := http.Get("http://" + s.listen + "/-/metrics")
	if err != nil {
		return counts, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return counts, err
	}
	for line := range strings.Lines(string(text)) {
		for i, result := range []string{"ok", "failed"} {
			if n, ok := strings.CutPrefix(line, `millpond_config_reloads_total{result="`+result+`"} `); ok {
				counts[i] = n
			}
		}
	}
	return counts, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a server that is measured from outside.
type process struct {
	name  string
	cmd   *exec.Cmd
	addr  string // host:port it listens on
	log   string // where its standard error goes
	ended chan error
}

// freePort is an address of loopback that nobody listened on a moment ago.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// launch starts a server and waits until its address answers at path.
func launch(ctx context.Context, name, addr, path, log string, command ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(command[0], command[1:]...), addr: addr, log: log, ended: make(chan error, 1)}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it does not outlive a benchmark that is killed
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	if err := p.ready(ctx, path); err != nil {
		p.stop()
		said, _ := os.ReadFile(log)
		return nil, fmt.Errorf("%s does not start: %w\n%s", name, err, last(said, 2000))
	}
	return p, nil
}

func last(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// ready asks until the answer is 200.
func (p *process) ready(ctx context.Context, path string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+path, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s answers %s", path, resp.Status)
		}
		select {
		case gone := <-p.ended:
			p.ended <- gone
			return fmt.Errorf("it has ended: %v", gone)
		case <-ctx.Done():
			return err
		case <-time.After(time.Millisecond): // there is nothing to wait on in another process
		}
	}
}

// stop ends the process as an operator would, and by force if that does not help.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(15 * time.Second):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// cpu is the processor time that the process has used, its own and the kernel's for it, by the kernel's own account of each
// thread: /proc/<pid>/stat counts in hundredths of a second only. A Go program keeps its threads.
func (p *process) cpu() (time.Duration, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("the kernel does not say what %s has used: there is no /proc/<pid>/task/*/schedstat", p.name)
	}
	var sum time.Duration
	for _, name := range tasks {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return 0, err
		}
		used, err := cpuOf(b)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		sum += used
	}
	return sum, nil
}

// cpuOf reads the first field, in nanoseconds.
func cpuOf(schedstat []byte) (time.Duration, error) {
	first, _, _ := strings.Cut(strings.TrimSpace(string(schedstat)), " ")
	used, err := strconv.ParseInt(first, 10, 64)
	return time.Duration(used), err
}

// memory is a figure of /proc/<pid>/status in bytes: VmRSS now, VmHWM at most since forget.
func (p *process) memory(field string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return memoryOf(b, field)
}

func memoryOf(status []byte, field string) (float64, error) {
	for l := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(l, field+":"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return float64(kb) * 1024, err
		}
	}
	return 0, fmt.Errorf("there is no %s", field)
}

// forget makes VmHWM begin anew.
func (p *process) forget() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0)
}

// startNginx starts one worker in the foreground, which serves the files of a folder. It is nil where nginx is not installed.
func startNginx(ctx context.Context, dir, files string, accessLog bool) (*process, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return nil, nil
		}
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	log, name := "off", "nginx"
	if accessLog {
		log, name = filepath.Join(dir, "access.log"), "nginx with its log"
	}
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 1024; }
http {
	access_log %[2]s; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type application/octet-stream;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server { listen %[3]s; location = /ready { return 200; } location / { root %[4]s; } }
}
`, dir, log, addr, files)
	if os.Getuid() == 0 {
		text = "user root;\n" + text // the files are in a folder of our own
	}
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return launch(ctx, name, addr, "/ready", filepath.Join(dir, "log"), program, "-c", config, "-p", dir)
}

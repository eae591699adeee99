package config

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millpond"
)

// tool makes a command of the tests' own, and a PATH that finds it.
func tool(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestMachineRuns(t *testing.T) {
	tool(t, "client", "ls -A; pwd; cat; echo \"$1\"; echo aside >&2\n")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	out, err := Machine(8*time.Second).Run(t.Context(), "client", "config get")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 || lines[0] == here || lines[1] != "config get" {
		t.Errorf("in an empty directory, with nothing to read: got %q", lines)
	}
	if _, err := os.Stat(lines[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory %s is left behind: %v", lines[0], err)
	}
}

func TestMachineFails(t *testing.T) {
	if _, err := Machine(8*time.Second).Run(t.Context(), "no-such-client-anywhere"); !errors.Is(err, exec.ErrNotFound) || !millpond.Is(err, millpond.NotFound) {
		t.Errorf("a command that is not installed: %v", err)
	}
	tool(t, "client", "echo out; echo first >&2; echo 'cannot do it' >&2; exit 3\n")
	if _, err := Machine(8*time.Second).Run(t.Context(), "client"); err == nil || !strings.Contains(err.Error(), "exit status 3: cannot do it") {
		t.Errorf("a command that fails: %v", err)
	}
	tool(t, "talker", "while true; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done | head -c 2000000\n")
	if _, err := Machine(8*time.Second).Run(t.Context(), "talker"); err == nil || !strings.Contains(err.Error(), "said more than") {
		t.Errorf("a command that does not stop talking: %v", err)
	}
}

// TestMachineGivesUp holds that neither a command that hangs nor a child of one that keeps its output open is waited for.
func TestMachineGivesUp(t *testing.T) {
	tool(t, "client", "sleep 30 &\nsleep 30\n")
	m := machine{patience: 50 * time.Millisecond}
	if _, err := m.Run(t.Context(), "client"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that hangs: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Machine(8*time.Second).Run(ctx, "client"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has left: %v", err)
	}
}

func TestMachineReads(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SOME_CLIENT", "x")
	if err := os.WriteFile(filepath.Join(home, ".clientrc"), []byte("index = here"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := Machine(8 * time.Second).ReadFile("~/.clientrc")
	if err != nil || string(text) != "index = here" {
		t.Errorf("~/.clientrc: %q, %v", text, err)
	}
	if _, err := Machine(8 * time.Second).ReadFile("~/.other"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	if _, err := Machine(8 * time.Second).ReadFile("~"); err == nil {
		t.Error("a directory was read")
	}
	if got := Machine(8 * time.Second).Getenv("SOME_CLIENT"); got != "x" {
		t.Errorf("Getenv = %q", got)
	}
}

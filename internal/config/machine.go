package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// machineOutput is how many bytes of output, or of a file, are read.
const machineOutput = 1 << 20

// Machine is this computer, for Adopt, Configure and Pack. Commands run in an empty directory, so that no project's settings
// speak for the machine, and with nothing to read; none may take longer than patience.
func Machine(patience time.Duration) format.Machine { return machine{patience} }

type machine struct{ patience time.Duration }

// Run implements format.Machine.
func (m machine) Run(ctx context.Context, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil || !filepath.IsAbs(path) { // what lies about in a directory is not the machine's
		return "", &millpond.Error{Kind: millpond.NotFound, Why: name + " is not installed", Err: exec.ErrNotFound}
	}
	dir, err := os.MkdirTemp("", "millpond-asks-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PWD="+dir)
	cmd.WaitDelay = min(m.patience/8, time.Second) // a grandchild may keep the pipe open
	var out, complaint limited
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s gave no answer: %w", name, context.Cause(ctx))
	case err != nil:
		if words := lastLine(complaint.String()); words != "" {
			return "", fmt.Errorf("%s: %w: %s", name, err, words)
		}
		return "", fmt.Errorf("%s: %w", name, err)
	case out.over:
		return "", fmt.Errorf("%s said more than %d bytes", name, machineOutput)
	}
	return out.String(), nil
}

// Getenv implements format.Machine.
func (machine) Getenv(key string) string { return os.Getenv(key) }

// ReadFile implements format.Machine.
func (machine) ReadFile(path string) ([]byte, error) {
	if path == "~" || strings.HasPrefix(path, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		path = filepath.Join(home, path[1:])
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is no file", path))
	}
	text, err := io.ReadAll(io.LimitReader(f, machineOutput+1))
	if len(text) > machineOutput {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, machineOutput)
	}
	return text, err
}

// limited is a buffer that takes so much and no more, and lets the writer go on.
type limited struct {
	text bytes.Buffer // not embedded: its ReadFrom has no limit
	over bool
}

func (b *limited) String() string { return b.text.String() }

func (b *limited) Write(p []byte) (int, error) {
	if b.text.Len()+len(p) > machineOutput {
		b.over = true
		return len(p), nil
	}
	return b.text.Write(p)
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
}

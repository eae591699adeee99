package cli

import (
	"context"
	"errors"
)

type store struct {
	Data string `env:"MILLPOND_DATA" placeholder:"DIR" help:"Where data is kept."`
}

func (s *store) dataDir() (string, error) {
	if s.Data != "" {
		return s.Data, nil
	}
	return dataDir()
}

type settings struct {
	store
	Config   string
	Listen   string   `env:"MILLPOND_LISTEN"`
	Offline  bool
	Upstream []string `sep:"none"`
	TLS      string
}

func (s *settings) plan(ctx context.Context, p *Process) (*plan, error) { return nil, errors.New("x") }

type initCommand struct{}
type helpCommand struct{}
type configCheckCommand struct{}
func (initCommand) Run() error { return nil }
func (helpCommand) Run() error { return nil }
func (configCheckCommand) Run() error { return nil }

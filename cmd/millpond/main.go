// Millpond caches, verifies and serves packages.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"millpond/internal/cli"
)

// version is set by the linker for a release.
var version string

func main() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	os.Exit(cli.Main(context.Background(), cli.Process{
		Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Version: cli.BuildVersion(version), Signals: signals, Exit: os.Exit,
	}))
}

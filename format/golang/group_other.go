//go:build !unix

package golang

import "os/exec"

// group leaves it to the system that the context's end kills the command alone.
func group(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}

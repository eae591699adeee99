//go:build !linux

package durable

import "os"

// room cannot know: a full disk shows itself when it is written to.
func room(string) (free, total int64, err error) { return -1, -1, nil }

func start(*os.File, int64, int64) {}

// A near is an open directory.
type near struct{ root *os.Root }

// mostNear is how many directories may stay open.
func mostNear() int64 { return 32 }

func openDir(root *os.Root, name string) (*near, error) {
	in, err := root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &near{in}, nil
}

// open opens a file of the directory for reading.
func (n *near) open(base, _ string) (*os.File, error) { return n.root.Open(base) }

func (n *near) close() error { return n.root.Close() }

package cli

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// asOwner runs f. Where root does what a directory's own user would do, f has the rights of that user: what it makes there is
// theirs, and the pond can use it. It is for programs that do nothing else meanwhile.
func asOwner(dir string, f func() error) (err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return f()
	}
	group := os.Getegid()
	if syscall.Setresgid(-1, int(owner.Gid), -1) != nil {
		return f() // a root that may not become anybody
	}
	defer func() { err = errors.Join(err, again("group", syscall.Setresgid(-1, group, -1))) }()
	if syscall.Setresuid(-1, int(owner.Uid), -1) != nil {
		return f()
	}
	defer func() { err = errors.Join(err, again("user", syscall.Setresuid(-1, 0, -1))) }()
	return f()
}

func again(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("become the %s again that began: %w", what, err)
}

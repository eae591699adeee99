package disk

import (
	"errors"
	"fmt"
	"syscall"

	"millpond"
)

// fault puts an error of the disk into words. Errors that have words keep them; nil is nil.
func fault(doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*millpond.Error](err); ok {
		return err
	}
	for _, f := range [...]struct {
		errno syscall.Errno
		kind  millpond.Kind
		why   string
		hint  string
	}{
		{syscall.ENOSPC, millpond.Full, "the disk is full", "make room"},
		{syscall.EDQUOT, millpond.Full, "the disk quota is used up", "make room"},
		{syscall.EROFS, millpond.Unready, "the disk is read-only", "look at the disk: it may have failed"},
		{syscall.EIO, millpond.Unready, "the disk failed", "look at the disk"},
		{syscall.EMFILE, millpond.Unready, "too many files are open", "raise the limit of open files"},
		{syscall.ENFILE, millpond.Unready, "too many files are open on this machine", "raise its limit of open files"},
		{syscall.EACCES, millpond.Unready, "the data directory may not be used", "look at its owner and mode"},
		{syscall.EPERM, millpond.Unready, "the data directory may not be used", "look at its owner and mode"},
	} {
		if errors.Is(err, f.errno) {
			return &millpond.Error{Kind: f.kind, Why: f.why, Hint: f.hint, Err: fmt.Errorf("%s: %w", doing, err)}
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

package backup_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"millpond"
	"millpond/blob/disk"
	"millpond/blob/disk/durable"
	"millpond/internal/backup"
)

// A child of this test backs up or restores, and is killed at its N-th call to the disk.
const childWork = "BACKUP_TEST_WORK" // make or restore, from, to, N

func TestMain(m *testing.M) {
	work := strings.Split(os.Getenv(childWork), "\n")
	if len(work) != 4 {
		os.Exit(m.Run())
	}
	last, err := strconv.ParseInt(work[3], 10, 64)
	if err == nil {
		var calls atomic.Int64
		o := backup.Options{Store: disk.Options{Hook: func(c *durable.Call, do func() error) error {
			if calls.Add(1) == last {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			return do()
		}}}
		if work[0] == "make" {
			_, err = backup.Make(context.Background(), work[1], work[2], o)
		} else {
			_, _, err = backup.Restore(context.Background(), work[1], work[2], o)
		}
		fmt.Print(calls.Load())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child runs one, and returns how many calls it made; 0 if it was killed.
func child(t *testing.T, work, from, to string, last int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childWork+"="+strings.Join([]string{work, from, to, strconv.Itoa(last)}, "\n"))
	out, err := cmd.Output()
	if e, ok := err.(*exec.ExitError); ok {
		if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return 0
		}
		t.Fatalf("%s: %v %s", work, err, e.Stderr)
	}
	n, err := strconv.Atoi(string(out))
	if err != nil {
		t.Fatalf("%s printed %q, %v", work, out, err)
	}
	return n
}

// F30, F37: a backup or a restore that is killed leaves nothing that could be taken for a whole one, harms nothing that it
// reads, and is finished by doing it again. The pond is in use all the while.
func TestF30KilledBackupAndRestore(t *testing.T) {
	p := open(t, t.TempDir())
	p.publish("one")
	p.publish("two")
	p.hold("alpha")
	whole := filepath.Join(t.TempDir(), "whole")
	for _, c := range []struct {
		work, from string
		mark       string // what is there only when all is
	}{{"make", p.dir, "backup.json"}, {"restore", whole, "catalog.db"}} {
		calls := child(t, c.work, c.from, map[string]string{"make": whole, "restore": filepath.Join(t.TempDir(), "to")}[c.work], -1)
		step := max(1, calls/4)
		if testing.Short() {
			step = calls / 2
		}
		for n := 1; n <= calls; n += step {
			to := filepath.Join(t.TempDir(), "to")
			if got := child(t, c.work, c.from, to, n); got != 0 {
				t.Fatalf("%s made %d calls, and was to be killed at %d", c.work, got, n)
			}
			if _, err := os.Lstat(filepath.Join(to, c.mark)); err == nil {
				t.Errorf("%s, killed at call %d of %d, has left %s", c.work, n, calls, c.mark)
			}
			if c.work == "make" {
				if _, err := backup.Read(to); !millpond.Is(err, millpond.NotFound) {
					t.Errorf("half a backup is read as %v", err)
				}
			}
			if got := child(t, c.work, c.from, to, -1); got == 0 {
				t.Fatalf("%s again was killed", c.work)
			}
			if c.work == "make" {
				restored := filepath.Join(t.TempDir(), "data")
				if _, report, err := backup.Restore(t.Context(), to, restored, backup.Options{}); err != nil || len(report.Damage) > 0 {
					t.Fatalf("restore after a kill at %d: %+v, %v", n, report, err)
				}
				to = restored
			}
			q := open(t, to)
			q.has("one", "two")
			q.sound("after a kill")
			q.close()
		}
	}
	p.sound("what was backed up")
}

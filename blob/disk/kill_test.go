package disk_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"millpond"
	"millpond/blob"
	"millpond/blob/blobtest"
	"millpond/blob/disk"
	"millpond/blob/disk/durable"
)

var long = flag.Bool("long", false, "kill a thousand times, and cut the power at every call with many outcomes")

// The environment in which the test binary is the process to be killed.
const (
	envDir  = "MILLPOND_KILL_DIR"
	envAt   = "MILLPOND_KILL_AT"   // the number of the call, after the first blob, that it dies at
	envLoad = "MILLPOND_KILL_LOAD" // how many goroutines write at once
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim seals blobs and says so, until it kills itself. A number below zero means after the call instead of before it.
func victim(dir string) error {
	at, err := strconv.Atoi(os.Getenv(envAt))
	if err != nil {
		return err
	}
	load, err := strconv.Atoi(os.Getenv(envLoad))
	if err != nil {
		return err
	}
	calls := blobtest.Dying{At: int64(at)}
	s, err := disk.Open(dir, disk.Options{Hook: func(c *durable.Call, do func() error) error {
		return calls.Do(func() error { return quick(c, do) })
	}})
	if err != nil {
		return err
	}
	var g sync.WaitGroup
	errs := make([]error, load)
	for i := range load {
		g.Go(func() { errs[i] = victimWrites(s, at, i, load) })
	}
	g.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Println("done", calls.Done())
	return s.Close()
}

// victimWrites goes on with what an earlier victim left, if there is any, then seals blobs of its own and one that all
// victims have in common, and deletes what it sealed before the last.
func victimWrites(s *disk.Store, at, i, load int) error {
	ctx := context.Background()
	var last millpond.Digest
	for j := range 3 * load {
		b := blobtest.Bytes(40_000+1000*j, byte(at)^byte(i)<<4)
		if j == 1 {
			b = []byte("in common")
		}
		w, err := s.Create(ctx)
		if err != nil {
			return err
		}
		fmt.Println("begun", w.ID())
		if _, err := w.Write(b[:len(b)/2]); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if w, err = s.Resume(ctx, w.ID()); err != nil {
			return err
		}
		if j == 2 { // its second half comes in pieces
			err = victimPlaces(w.(blob.Placer), b, int64(len(b)/2))
		} else {
			_, err = w.Write(b[len(b)/2:])
		}
		if err != nil {
			return err
		}
		d, err := w.Commit(ctx, millpond.SHA256(b))
		if err != nil {
			return err
		}
		fmt.Println("sealed", d)
		if err := w.Close(); err != nil {
			return err
		}
		if !last.IsZero() && j != 2 {
			fmt.Println("deleting", last)
			if err := s.Delete(ctx, last); err != nil {
				return err
			}
		}
		last = d
	}
	return nil
}

func victimPlaces(p blob.Placer, b []byte, from int64) error {
	mid := from + (int64(len(b))-from)/2
	return errors.Join(p.PlaceAt(b[mid:], mid), p.Flush(), p.PlaceAt(b[from:mid], from), p.Flush(), p.Take(context.Background(), int64(len(b))))
}

// said is what a victim told before it died.
type said struct {
	sealed, deleting []millpond.Digest
	begun            []string
	done             bool
}

// kill runs a victim in a directory.
func kill(t *testing.T, dir string, at, load int) said {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envDir+"="+dir, envAt+"="+strconv.Itoa(at), envLoad+"="+strconv.Itoa(load))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var told said
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		verb, what, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "begun":
			told.begun = append(told.begun, what)
		case "done":
			told.done = true
		case "sealed", "deleting":
			d, err := millpond.ParseDigest(what)
			if err != nil {
				t.Fatalf("the victim said %q: %v", lines.Text(), err)
			}
			if verb == "sealed" {
				told.sealed = append(told.sealed, d)
			} else {
				told.deleting = append(told.deleting, d)
			}
		}
	}
	if told.done != (err == nil) {
		t.Fatalf("victim %d: %v, done %t: %s", at, err, told.done, &stderr)
	}
	if status, ok := errors.AsType[*exec.ExitError](err); ok && status.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("victim %d: %v: %s", at, err, &stderr)
	}
	return told
}

// survives opens what a victim left: all that was acknowledged must be there, nothing may be wrong, all can go on.
func survives(t *testing.T, dir string, at int, told said) {
	t.Helper()
	s, err := disk.Open(dir, disk.Options{Hook: quick})
	if err != nil {
		t.Fatalf("kill at %d: Open: %v", at, err)
	}
	defer s.Close()
	have := sound(t, s)
	for _, d := range told.sealed {
		if !slices.Contains(have, d) && !slices.Contains(told.deleting, d) {
			t.Errorf("kill at %d: %s was acknowledged and is not there", at, d)
		}
	}
	for _, id := range told.begun {
		w, err := s.Resume(t.Context(), id)
		if millpond.Is(err, millpond.NotFound) {
			continue
		}
		if err != nil {
			t.Errorf("kill at %d: Resume: %v", at, err)
			continue
		}
		if _, err := w.Write([]byte("more")); err != nil {
			t.Errorf("kill at %d: Write after Resume: %v", at, err)
		}
		if _, err := w.Commit(t.Context()); err != nil {
			t.Errorf("kill at %d: Commit after Resume: %v", at, err)
		}
		w.Close()
	}
	sound(t, s)
	if err := s.Tidy(t.Context(), time.Now().Add(time.Hour), nil); err != nil {
		t.Errorf("kill at %d: Tidy: %v", at, err)
	}
	for _, name := range tree(t, dir) {
		if strings.HasPrefix(name, "incoming/") {
			t.Errorf("kill at %d: %s is left", at, name)
		}
	}
}

// The process dies before and after every call that it makes to the disk, each time in the directory that the one before
// left.
func TestKillAtEveryCall(t *testing.T) {
	dir := t.TempDir()
	cycles := 0
	for n, done := 1, false; !done; n++ {
		for _, at := range []int{n, -n} {
			told := kill(t, dir, at, 1)
			survives(t, dir, at, told)
			done = told.done
		}
		if t.Failed() || n > 500 {
			t.Fatalf("stopped at call %d", n)
		}
		cycles += 2
	}
	t.Logf("killed %d times", cycles-1)
}

// The process dies at some call while many goroutines write.
func TestKillUnderLoad(t *testing.T) {
	times := 20
	if *long {
		times = 1000
	}
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(1, uint64(times)))
	for range times {
		at := 1 + rnd.IntN(1200)
		if rnd.IntN(2) == 0 {
			at = -at
		}
		survives(t, dir, at, kill(t, dir, at, 6))
		if t.Failed() {
			return
		}
	}
}

package cli

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"millpond/catalog/sql"
)

// What root's check and backup make in the data of another user belongs to that user: the pond could not read it otherwise, and would not
// start. They run in a process of its own, whose rights change.
func TestRootLeavesNothingOfRoots(t *testing.T) {
	const other = 65534
	if dir := os.Getenv("MILLPOND_TEST_CHECKED"); dir != "" {
		code := Main(t.Context(), Process{Args: []string{"check", "--repair", "--data", dir}, Out: io.Discard, Err: os.Stderr})
		if code != ExitFailed || os.Geteuid() != 0 || os.Getegid() != 0 {
			t.Errorf("check ended with %d, as user %d and group %d; want %d, as root again", code, os.Geteuid(), os.Getegid(), ExitFailed)
		}
		for _, args := range [][]string{{"check", "--data", dir}, {"backup", dir + ".backup", "--data", dir}} { // cache.db is made anew
			code := Main(t.Context(), Process{Args: args, Out: io.Discard, Err: os.Stderr})
			if code != 0 || os.Geteuid() != 0 || os.Getegid() != 0 {
				t.Errorf("%s ended with %d, as user %d and group %d; want 0, as root again", args[0], code, os.Geteuid(), os.Getegid())
			}
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can look through another user's data")
	}
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := sql.Open(t.Context(), dir, sql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	spoil(t, filepath.Join(dir, "cache.db"))
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, other, other)
	}); err != nil {
		t.Fatal(err)
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRootLeavesNothingOfRoots$", "-test.v")
	again.Env = append(os.Environ(), "MILLPOND_TEST_CHECKED="+dir)
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made := 0
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		made++
		if s := info.Sys().(*syscall.Stat_t); s.Uid != other || s.Gid != other {
			t.Errorf("%s belongs to user %d and group %d", path, s.Uid, s.Gid)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, noted := os.Stat(filepath.Join(dir, backedUp))
	if _, err := os.Stat(filepath.Join(dir, "cache.db.aside")); err != nil || noted != nil || made < 7 {
		t.Errorf("the check and the backup have made too little to tell: %d files and folders, %v, %v", made, err, noted)
	}
}

// spoil overwrites a page of a database.
func spoil(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = 0xff
	}
	if _, err := f.WriteAt(noise, 5*4096); err != nil {
		t.Fatal(err)
	}
}

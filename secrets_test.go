package millpond_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// secretTexts are the secrets of the scripts: whole tokens, and the passwords that "team" gives. Each begins with a text that
// is found fast: they are looked for in all that a pond keeps.
var secretTexts = []*regexp.Regexp{ // never changed
	regexp.MustCompile(`mp_[0-9A-Za-z]{12}_[0-9A-Za-z]{40,}`), regexp.MustCompile(`the password of [a-z]+`),
}

// S33: wherever a script went, no secret stands in what the pond has kept, in what was backed up, or in what it said. It is
// looked for when each script is over.
func findSecrets(work string) error {
	var found []error
	for _, pattern := range []string{"data*", "backup*", "restored*", "pond.log"} {
		tops, err := filepath.Glob(filepath.Join(work, pattern))
		if err != nil {
			return err
		}
		for _, top := range tops {
			err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
				if err != nil || !e.Type().IsRegular() {
					return err
				}
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				for _, secret := range secretTexts {
					if at := secret.FindIndex(text); at != nil {
						found = append(found, fmt.Errorf("a secret stands in %s: …%q…", path, text[max(0, at[0]-60):at[1]]))
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return errors.Join(found...)
}

// findRaces finds what a pond said of a race that was seen in it, whichever way it ended.
func findRaces(log string) error {
	said, err := os.ReadFile(log)
	if os.IsNotExist(err) {
		return nil // there was no pond
	}
	if at := bytes.Index(said, []byte("WARNING: DATA RACE")); at >= 0 {
		return fmt.Errorf("a race in the pond:\n%.6000s", said[at:])
	}
	return err
}

func TestFindSecrets(t *testing.T) {
	const token = "mp_0123456789ab_0123456789012345678901234567890123456789abc"
	for name, c := range map[string]struct {
		file, text string
		found      bool
	}{
		"a token in the log": {"pond.log", "said " + token, true}, "a token in the catalog": {"data/catalog.db", "\x00" + token, true},
		"a password in a backup": {"backup/x/y", "the password of ann", true}, "of a client": {"home/x", token, false},
		"a token's id": {"pond.log", "mp_0123456789ab by ann", false}, "nothing": {"data/blobs/x", "words", false},
	} {
		work := t.TempDir()
		path := filepath.Join(work, filepath.FromSlash(c.file))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(c.text), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := findSecrets(work); (err != nil) != c.found {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFindRaces(t *testing.T) {
	for name, c := range map[string]struct {
		said  string
		found bool
	}{
		"a race": {"serves\n==================\nWARNING: DATA RACE\nWrite at 0x00c", true}, "a warning": {`{"level":"WARN","msg":"race"}`, false}, "nothing": {"", false},
	} {
		log := filepath.Join(t.TempDir(), "pond.log")
		if err := os.WriteFile(log, []byte(c.said), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := findRaces(log); (err != nil) != c.found {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := findRaces(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Errorf("no log: got %v", err)
	}
}

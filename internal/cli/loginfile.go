package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"millpond"
)

// A loginFile is where 'login' remembers ponds and their tokens: millpond/login.json in the user's own folder for
// configuration, readable by its owner only.
type loginFile struct{}

// logins are what stands in it.
type logins struct {
	Current string           `json:"current"` // the pond that is meant when none is named
	Ponds   map[string]login `json:"ponds"`   // by address
}

// A login is what is remembered of one pond.
type login struct {
	Name    string    `json:"name"`
	ID      string    `json:"id"`
	Token   string    `json:"token"`
	CA      string    `json:"ca,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// configFolder is the user's own folder for what millpond keeps of them.
func configFolder() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the folder for configuration: %w", err)
	}
	return filepath.Join(dir, "millpond"), nil
}

func (loginFile) path() (string, error) {
	dir, err := configFolder()
	return filepath.Join(dir, "login.json"), err
}

// read returns what is remembered; nothing if there is no such file, or no folder for one.
func (f loginFile) read() (logins, error) {
	l := logins{Ponds: map[string]login{}}
	path, err := f.path()
	if err != nil {
		return l, nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return l, &millpond.Error{Kind: millpond.Invalid, Why: path + " can be read by others, and holds tokens",
			Hint: "chmod 600 " + path + ", and think of the tokens in it as known: 'millpond token revoke', then 'millpond login'"}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, fmt.Errorf("read %s: %w", path, err)
	}
	if l.Ponds == nil {
		l.Ponds = map[string]login{}
	}
	return l, nil
}

func (f loginFile) write(l logins) error {
	path, err := f.path()
	if err != nil {
		return err
	}
	return writeJSON(path, l)
}

// current is the pond that is meant when none is named; nil if nothing is remembered.
func (f loginFile) current() *url.URL {
	l, err := f.read()
	if err != nil || l.Current == "" {
		return nil // what is wrong with it, of says
	}
	u, err := url.Parse(l.Current)
	if err != nil {
		return nil
	}
	return u
}

// of is what is remembered of a pond.
func (f loginFile) of(pond *url.URL) (login, error) {
	l, err := f.read()
	return l.Ponds[pond.String()], err
}

// writeJSON replaces a file that its owner only can read, whole or not at all.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return replaceFile(path, append(text, '\n'), 0o600)
}

// replaceFile gives a file new contents, whole or not at all. A link stays one: what it points to is replaced.
func replaceFile(path string, text []byte, mode fs.FileMode) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// A setUpRecord is what set-up remembers of one client, to put back.
type setUpRecord struct {
	Pond       string      `json:"pond"`
	Repository string      `json:"repository"`
	Token      string      `json:"token,omitempty"` // the id of the one that was made for it
	Time       time.Time   `json:"time"`
	Files      []savedFile `json:"files"`
}

// A savedFile is a file as it was.
type savedFile struct {
	Path   string      `json:"path"`
	Was    bool        `json:"was"` // there
	Mode   fs.FileMode `json:"mode,omitempty"`
	Before []byte      `json:"before,omitempty"`
	After  string      `json:"after"`          // the sha256 of what set-up made of it; "" while that is not done
	Made   []string    `json:"made,omitempty"` // folders that were not there, outermost first
}

func setUpPath() (string, error) {
	dir, err := configFolder()
	return filepath.Join(dir, "set-up.json"), err
}

// setUpRecords are those of all clients of this user.
func setUpRecords() (map[string]setUpRecord, error) {
	path, err := setUpPath()
	if err != nil {
		return nil, err
	}
	all := map[string]setUpRecord{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("read what set-up remembers: %w", err)
	}
	return all, nil
}

// keep writes the record of a client down; a record without files is forgotten.
func (r *setUpRecord) keep(client string) error {
	all, err := setUpRecords()
	if err != nil {
		return err
	}
	if all[client] = *r; len(r.Files) == 0 {
		delete(all, client)
	}
	path, err := setUpPath()
	if err != nil {
		return err
	}
	return writeJSON(path, all)
}

// check takes over what was there before an earlier set-up of the same client: that is what unset-up is to put back. It is
// Conflict if a file was changed since.
func (r *setUpRecord) check(client string) error {
	all, err := setUpRecords()
	if err != nil {
		return err
	}
	old := all[client]
	for _, f := range old.Files {
		now, err := readText(f.Path)
		if err != nil {
			return err
		}
		if sum(now) != f.After {
			return &millpond.Error{Kind: millpond.Conflict, Why: fmt.Sprintf("%s is set up already, and %s was changed since", client, f.Path),
				Hint: "'millpond unset-up " + client + "' first"}
		}
	}
	r.Files = old.Files
	if old.Token != "" {
		return &millpond.Error{Kind: millpond.Conflict, Why: client + " is set up already, with a token of its own", Hint: "'millpond unset-up " + client + "' first: that ends the token too"}
	}
	return nil
}

// carryOut changes the files. What was there is written down before anything is changed; if one step fails, all is put back.
func (r *setUpRecord) carryOut(ctx context.Context, m format.Machine, client string, plan []format.Rewrite) (err error) {
	r.Time = time.Now().UTC().Truncate(time.Second)
	before := slices.Clone(r.Files)
	for _, step := range plan {
		path, err := homePath(step.File)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(r.Files, func(f savedFile) bool { return f.Path == path }) {
			f, err := save(path)
			if err != nil {
				return err
			}
			r.Files = append(r.Files, f)
		}
	}
	now := make([]savedFile, len(r.Files)) // as they are at this moment, which an earlier set-up may have made
	for i, f := range r.Files {
		if now[i], err = save(f.Path); err != nil {
			return err
		}
	}
	if err := r.keep(client); err != nil {
		return err
	}
	for _, step := range plan {
		if err = carryOutStep(ctx, m, step); err != nil {
			break
		}
	}
	if err != nil {
		for _, f := range now {
			err = errors.Join(err, f.putBack())
		}
		r.Files = before
		return errors.Join(err, r.keep(client))
	}
	for i := range r.Files {
		text, err := readText(r.Files[i].Path)
		if err != nil {
			return err
		}
		r.Files[i].After = sum(text)
	}
	return r.keep(client)
}

func carryOutStep(ctx context.Context, m format.Machine, step format.Rewrite) error {
	path, err := homePath(step.File)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if step.Run != nil {
		_, err := m.Run(ctx, step.Run[0], step.Run[1:]...)
		return err
	}
	before, err := readText(path)
	if err != nil {
		return err
	}
	after, err := step.Edit(before)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if step.Secret {
		mode &= 0o600
	}
	return replaceFile(path, []byte(after), mode)
}

// save remembers a file as it is.
func save(path string) (savedFile, error) {
	f := savedFile{Path: path}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
			break
		}
		f.Made = append([]string{dir}, f.Made...)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	f.Was, f.Mode = true, info.Mode().Perm()
	f.Before, err = os.ReadFile(path)
	return f, err
}

// putBack makes the file what it was. Folders that were made for it go, unless something else is in them.
func (f *savedFile) putBack() error {
	if f.Was {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return err
		}
		return replaceFile(f.Path, f.Before, f.Mode)
	}
	if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range slices.Backward(f.Made) {
		if os.Remove(dir) != nil {
			break // it is in use
		}
	}
	return nil
}

// putBack puts all files of a client back. It is Conflict, and nothing is put back, if one was changed since, unless forced.
func putBack(client string, force bool) (*setUpRecord, error) {
	all, err := setUpRecords()
	if err != nil {
		return nil, err
	}
	record, ok := all[client]
	if !ok {
		return nil, &millpond.Error{Kind: millpond.NotFound, Why: client + " was not set up by 'millpond set-up'"}
	}
	for _, f := range record.Files {
		now, err := readText(f.Path)
		if err != nil {
			return nil, err
		}
		if sum(now) == f.After || force || sum(now) == sum(string(f.Before)) {
			continue
		}
		e := &millpond.Error{Kind: millpond.Conflict, Why: f.Path + " was changed since " + client + " was set up, and nothing was put back",
			Hint: "--force puts it back as it was before, without what was changed"}
		for name, other := range all {
			for _, g := range other.Files {
				if name != client && g.Path == f.Path && sum(string(g.Before)) == f.After {
					e.Hint = "'millpond unset-up " + name + "' first, which was set up in the same file later"
				}
			}
		}
		return nil, e
	}
	for i := range record.Files {
		if err := record.Files[i].putBack(); err != nil {
			return nil, err
		}
	}
	forgotten := setUpRecord{}
	return &record, forgotten.keep(client)
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

// readText reads a file; "" if there is none.
func readText(path string) (string, error) {
	path, err := homePath(path)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// homePath is a path in which "~" is the user's home.
func homePath(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, rest), err
}

package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"millpond/format"
)

// memory is what was adopted before, by format. Once the clients of a machine are set up with its pond, nothing else on it
// knows where they had read from.
type memory struct {
	When    time.Time                 `json:"when"`
	Formats map[string][]rememberedIn `json:"formats"`
}

// rememberedIn is an upstream without its password.
type rememberedIn struct {
	URL     string            `json:"url"`
	From    string            `json:"from"`
	When    time.Time         `json:"when"`
	Options map[string]string `json:"options,omitempty"`
}

const memoryFile = "adopted.json"

// recall reads what was adopted before; nothing, if there is no such file.
func recall(data string) (memory, error) {
	m := memory{Formats: map[string][]rememberedIn{}}
	f, err := os.Open(filepath.Join(data, memoryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	defer f.Close()
	read := m
	if err := json.NewDecoder(io.LimitReader(f, maxFile)).Decode(&read); err != nil {
		return m, fmt.Errorf("%s cannot be read: %w", f.Name(), err)
	}
	if read.Formats == nil {
		read.Formats = m.Formats
	}
	return read, nil
}

// of are the upstreams remembered of a format, as adoptions.
func (m memory) of(c *Config, name string) []Adoption {
	var found []format.Adopted
	for _, r := range m.Formats[name] {
		found = append(found, format.Adopted{
			URL: r.URL, Options: r.Options, From: r.From, Note: "as adopted on " + r.When.UTC().Format(time.DateOnly)})
	}
	all, _ := c.judge(name, found)
	return all
}

// remember keeps what was adopted now, and of the formats that had nothing to say what was before. Nothing is written if
// nothing is new.
func (c *Config) remember(all []Adoption, before memory, now time.Time) error {
	next := memory{When: now.UTC().Truncate(time.Second), Formats: map[string][]rememberedIn{}}
	for _, a := range all {
		if adopted(a) {
			next.Formats[a.Format] = append(next.Formats[a.Format], rememberedIn{a.URL, a.From, next.When, a.Options})
		}
	}
	changed := false
	for name, list := range next.Formats {
		if same(list, before.Formats[name]) {
			next.Formats[name] = before.Formats[name]
			continue
		}
		changed = true
	}
	if !changed {
		return nil
	}
	for name, list := range before.Formats {
		if _, ok := next.Formats[name]; !ok {
			next.Formats[name] = list
		}
	}
	text, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.Data, memoryFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already, if all went well
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(c.Data, memoryFile))
}

// same reports whether two lists name the same upstreams.
func same(a, b []rememberedIn) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].URL != b[i].URL || fmt.Sprint(a[i].Options) != fmt.Sprint(b[i].Options) {
			return false
		}
	}
	return true
}

package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"millpond/format"
)

// memory is what was adopted before, by format. Once the clients of a machine are set up with its pond, nothing else on it
// knows where they had read from.
type memory struct {
	When    time.Time                 `json:"when"`
	Formats map[string][]rememberedIn `json:"formats"`
	// Nothing are the formats whose clients had nothing to say.
	Nothing []string `json:"nothing,omitempty"`
}

// rememberedIn is an upstream without its password.
type rememberedIn struct {
	URL     string            `json:"url"`
	From    string            `json:"from"`
	When    time.Time         `json:"when"`
	Options map[string]string `json:"options,omitempty"`
	// Note is what was to be said of it.
	Note string `json:"note,omitempty"`
	// Secret says that a password belongs to it, which is not kept.
	Secret bool `json:"secret,omitempty"`
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

// asAdoptedOn begins what is said of an upstream that was adopted in an earlier start.
const asAdoptedOn = "as adopted on "

// of are the upstreams remembered of a format, as adoptions.
func (m memory) of(c *Config, name string) []Adoption {
	var found []format.Adopted
	for _, r := range m.Formats[name] {
		note := asAdoptedOn + r.When.UTC().Format(time.DateOnly)
		if r.Note != "" {
			note = r.Note + "; " + note
		}
		found = append(found, format.Adopted{URL: r.URL, Options: r.Options, From: r.From, Note: note})
	}
	all, _ := c.judge(name, found)
	return all
}

// Recall makes what was adopted at an earlier start the upstreams of the repositories that nobody named any for, without
// asking anybody: programs take seconds to say what is rarely new. It returns false, and does nothing, where that does not
// do: nothing was adopted yet, a format is new, or a password was adopted, which is never kept. Who has recalled asks again
// soon, with Adopt, and sees with SameAdoptions whether anything is new.
func (c *Config) Recall(formats []format.Format) ([]Adoption, bool) {
	m, err := recall(c.Data)
	if err != nil || !c.Adopting {
		return nil, false
	}
	taken := make([][]Adoption, len(c.Repos))
	var all []Adoption
	for i := range c.Repos {
		r := &c.Repos[i]
		if !c.asks(r, formats) || slices.Contains(m.Nothing, r.Format) {
			continue
		}
		list := m.Formats[r.Format]
		if len(list) == 0 || slices.ContainsFunc(list, func(one rememberedIn) bool { return one.Secret }) {
			return nil, false
		}
		taken[i] = m.of(c, r.Format)
		if slices.ContainsFunc(taken[i], func(a Adoption) bool { return !adopted(a) }) {
			return nil, false // it is this pond by now
		}
		all = append(all, taken[i]...)
	}
	for i := range c.Repos {
		c.Repos[i].take(taken[i])
	}
	return all, true
}

// asks reports whether Adopt asks this machine's clients what a repository reads through to.
func (c *Config) asks(r *Repository, formats []format.Format) bool {
	f := formatNamed(formats, r.Format)
	return !r.told && len(r.Upstreams) == 0 && f != nil && f.Info().Upstreams != nil
}

// SameAdoptions reports whether two adoptions make the same upstreams.
func SameAdoptions(a, b []Adoption) bool {
	upstreams := func(all []Adoption) (out []string) {
		for _, one := range all {
			if adopted(one) {
				out = append(out, fmt.Sprintf("%q", []string{one.Format, one.URL, one.Username, one.Password, fmt.Sprint(one.Options)}))
			}
		}
		return out
	}
	return slices.Equal(upstreams(a), upstreams(b))
}

// remember keeps what was adopted now, which formats had nothing to say, and of them what was before. Nothing is written if
// nothing is new.
func (c *Config) remember(all []Adoption, nothing []string, before memory, now time.Time) error {
	next := memory{When: now.UTC().Truncate(time.Second), Formats: map[string][]rememberedIn{}, Nothing: nothing}
	for _, a := range all {
		if adopted(a) {
			note, _, _ := strings.Cut(a.Note, asAdoptedOn)
			next.Formats[a.Format] = append(next.Formats[a.Format], rememberedIn{URL: a.URL, From: a.From, When: next.When,
				Options: a.Options, Note: strings.TrimSuffix(note, "; "), Secret: a.Username != "" || a.Password != ""})
		}
	}
	changed := !slices.Equal(nothing, before.Nothing)
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

// same reports whether two lists say the same of the same upstreams.
func same(a, b []rememberedIn) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].URL != b[i].URL || a[i].Secret != b[i].Secret || a[i].Note != b[i].Note || fmt.Sprint(a[i].Options) != fmt.Sprint(b[i].Options) {
			return false
		}
	}
	return true
}

package raw

import (
	"cmp"
	"context"
	"strings"
	"time"

	"millpond/format"
)

// mostListed is how many entries a page has.
const mostListed = 1000

// An entry is a line of a directory: a file, or with a slash at its end a directory in it.
type entry struct {
	Name     string            `json:"name"`
	Size     int64             `json:"size"`
	SHA256   string            `json:"sha256,omitempty"`
	Modified time.Time         `json:"modified,omitzero"`
	Type     string            `json:"type,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Yanked   bool              `json:"yanked,omitempty"`

	full     string // the whole path
	md5      string
	rec      record
	outside  bool // held of an upstream
	isPrefix bool // a directory
}

// A listing is a page of a directory.
type listing struct {
	Path    string  `json:"path"`
	Entries []entry `json:"entries"`
	Next    string  `json:"next,omitempty"`    // to give to ?after= for the next page
	Partial bool    `json:"partial,omitempty"` // an upstream has more than is known here

	whole bool // the upstream's own list is in it
}

// A directory asks for one page.
type directory struct {
	prefix string // of whole paths
	deep   bool   // files of all directories below, instead of these
	after  string // a whole path; beyond is that of a directory
	most   int
	delim  string // what names are cut at, where S3's clients say so; "" is a slash
}

// cut is what the names of directories end with.
func (d directory) cut() string { return cmp.Or(d.delim, "/") }

// beyond is a path that comes after everything in a directory, whose name is given with its slash.
func beyond(dir string) string { return dir + string(highest) }

// behind is where the page after one begins that ends with a name.
func (d directory) behind(name string) string {
	if strings.HasSuffix(name, d.cut()) && !d.deep && name != d.prefix {
		return beyond(name)
	}
	return name
}

// known reads one page of what is known here, in byte order of the whole paths, where a directory sorts as its name with a slash. Of 100,000 files
// in a directory below nothing is read but its name.
func (h handler) known(ctx context.Context, d directory) (*listing, error) {
	out := &listing{Path: d.prefix, Entries: []entry{}}
	walk := format.Walk{Prefix: d.prefix, After: d.after}
	for {
		skip, full := "", false
		err := h.list(ctx, walk, func(one format.Listed) bool {
			if len(out.Entries) == d.most {
				full = true
				return false
			}
			rest := one.Name[len(d.prefix):]
			if i := strings.Index(rest, d.cut()); i >= 0 && !d.deep {
				dir := rest[:i+len(d.cut())]
				out.Entries = append(out.Entries, entry{Name: dir, full: d.prefix + dir, isPrefix: true})
				skip = beyond(d.prefix + dir)
				return false
			}
			out.Entries = append(out.Entries, entryOf(one, rest))
			return true
		})
		switch {
		case err != nil:
			return nil, err
		case full:
			out.Next = out.Entries[len(out.Entries)-1].full
			return out, nil
		case skip == "":
			return out, nil
		}
		walk.After, walk.Few = skip, true // behind a directory is most often another one
	}
}

func entryOf(one format.Listed, rest string) entry {
	e := entry{Name: rest, Size: one.File.Size, SHA256: hexOf(one.File.Digests, "sha256"), Modified: one.File.Published.UTC(), Type: one.File.Type,
		full: one.Name, md5: hexOf(one.File.Digests, "md5"), outside: one.Layer != "", Yanked: one.File.Yanked}
	if e.SHA256 == "" && one.File.Blob.Algorithm() == "sha256" {
		e.SHA256 = one.File.Blob.Hex()
	}
	if e.Type == "" {
		e.Type = typeOf(one.Name)
	}
	// A record that cannot be read tells nothing here; whoever opens the file is told.
	if rec, err := readRecord(one.File.Meta); err == nil {
		e.rec, e.Labels = rec, rec.Labels
	}
	return e
}

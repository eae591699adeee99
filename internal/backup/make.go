package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"millpond"
	"millpond/blob/disk"
	"millpond/catalog/sql"
	"millpond/repo"
)

// attempts is how often the catalog is copied at most: again if bytes that it says were published here were swept before they
// were copied. Each time only those are missing that were deleted for good meanwhile.
const attempts = 5

// Make copies the data in a directory, which a pond may have open, into another that must be empty, or hold a backup that was
// interrupted: what is there of that is used. Conflict if anything else is there.
//
// The catalog is copied first, then the blobs that it names. What was published and acknowledged before the copy is in it. A
// blob whose bytes are damaged is not copied; if it was published here the manifest names it.
func Make(ctx context.Context, data, to string, o Options) (*Manifest, error) {
	data, to, err := apart(data, to)
	if err != nil {
		return nil, err
	}
	if !there(filepath.Join(data, sql.Files()[0])) {
		return nil, &millpond.Error{Kind: millpond.NotFound, Why: "there is no data in " + data, Hint: "name the directory with --data"}
	}
	if err := begin(to); err != nil {
		return nil, err
	}
	m := &maker{options: o, to: to, damaged: map[millpond.Digest]bool{}}
	for _, dir := range []string{data, o.Base} {
		if dir == "" {
			continue
		}
		r, err := disk.OpenReader(dir)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", dir, err)
		}
		defer r.Close()
		if m.from = append(m.from, r); dir == o.Base {
			if _, err := Read(dir); err != nil {
				return nil, err
			}
		}
	}
	if m.store, err = disk.Open(to, o.Store); err != nil {
		return nil, err
	}
	out, err := m.run(ctx, data)
	if err := errors.Join(err, m.store.Close()); err != nil {
		return nil, err
	}
	return out, m.finish(data, out)
}

// apart makes two paths absolute, and refuses them if one is within the other.
func apart(data, to string) (string, string, error) {
	data, err := filepath.Abs(data)
	if err != nil {
		return "", "", err
	}
	if to, err = filepath.Abs(to); err != nil {
		return "", "", err
	}
	if within(data, to) || within(to, data) {
		return "", "", &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%s and %s lie within each other", data, to), Hint: "a backup belongs elsewhere, on another disk if it can be"}
	}
	return data, to, nil
}

func within(a, b string) bool {
	rel, err := filepath.Rel(a, b)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// begin marks a directory as a backup that is not whole.
func begin(to string) error {
	have, err := names(to)
	switch {
	case err != nil:
		return err
	case slices.Contains(have, manifestName):
		return &millpond.Error{Kind: millpond.Conflict, Why: "there is a backup in " + to, Hint: "name a directory of its own for each; --base " + to + " has unchanged bytes linked instead of copied"}
	case slices.ContainsFunc(have, func(name string) bool { return !strings.HasPrefix(name, partialName) }) && !slices.Contains(have, partialName):
		return &millpond.Error{Kind: millpond.Conflict, Why: to + " is not empty", Hint: "name a directory that is, or is not there"}
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return write(to, partialName, []byte("this backup is not whole: make it again, here\n"))
}

// A maker makes one backup.
type maker struct {
	options Options
	to      string
	store   *disk.Store
	from    []*disk.Reader // the data, and then what blobs may be linked from
	copied  int64
	damaged map[millpond.Digest]bool // cannot be read where they are
}

func (m *maker) run(ctx context.Context, data string) (*Manifest, error) {
	var before []string
	for attempt := 1; ; attempt++ {
		out, missing, err := m.once(ctx, data)
		if err != nil {
			return nil, err
		}
		// What is missing twice was missing already, or it is deleted faster than it can be copied.
		if len(missing) == 0 || slices.Equal(missing, before) || attempt == attempts {
			out.Damaged = append(out.Damaged, missing...)
			return out, nil
		}
		before = missing
	}
}

// once copies the catalog and what it names. missing is what was published and is not there.
func (m *maker) once(ctx context.Context, data string) (out *Manifest, missing []string, err error) {
	if err := sql.Discard(m.to); err != nil {
		return nil, nil, err
	}
	out = &Manifest{Format: format, Made: m.options.now().UTC(), Version: m.options.Version}
	left, err := sql.Copy(ctx, data, m.to)
	if err != nil {
		return nil, nil, err
	}
	if left != "" {
		out.Damaged = []string{left}
	}
	if m.options.Between != nil {
		m.options.Between(ctx)
	}
	records, err := sql.Open(ctx, m.to, sql.Options{Now: m.options.Now})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	if err := m.blobs(ctx, records); err != nil {
		return nil, nil, err
	}
	head, err := records.Head(ctx)
	if err != nil {
		return nil, nil, err
	}
	out.Epoch, out.Seq, out.Hash, out.Copied = head.Epoch, head.Seq, head.Hash, m.copied
	report, err := look(ctx, m.store, records, repo.CheckOptions{Repair: true})
	if err != nil {
		return nil, nil, err
	}
	out.Blobs, out.Bytes = report.Blobs, report.Bytes
	for _, d := range report.Damage {
		if d.Hosted {
			missing = append(missing, d.Names...)
		} else if d.Digest.IsZero() {
			return nil, nil, &millpond.Error{Kind: millpond.Corrupt, Why: d.What, Hint: "look at the pond itself: millpond check"}
		}
	}
	slices.Sort(missing)
	return out, missing, nil
}

// look checks what was written. What was read from upstreams and is not there is forgotten with CheckOptions.Repair: it is
// fetched again when it is asked for.
func look(ctx context.Context, store *disk.Store, records *sql.Catalog, o repo.CheckOptions) (_ *repo.Report, err error) {
	pond, err := repo.New(ctx, repo.Parts{Blobs: store, Catalog: records})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pond.Close(ctx)) }()
	return pond.Check(ctx, o)
}

// blobs copies those that the catalog names.
func (m *maker) blobs(ctx context.Context, records *sql.Catalog) error {
	batch := make([]millpond.Digest, 0, 500)
	done := int64(0)
	flush := func() error {
		named, err := records.Named(ctx, batch)
		if err != nil {
			return err
		}
		for _, d := range batch {
			if !named[d] {
				continue
			}
			if err := m.blob(ctx, d); err != nil {
				return err
			}
			if done++; m.options.Told != nil {
				m.options.Told(done, 0)
			}
		}
		batch = batch[:0]
		return nil
	}
	for d, err := range m.from[0].List(ctx, millpond.Digest{}) {
		if err != nil {
			return err
		}
		if batch = append(batch, d); len(batch) == cap(batch) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// blob brings one over. That it was swept meanwhile, or is damaged, is no error: what is missing is looked for at the end.
func (m *maker) blob(ctx context.Context, d millpond.Digest) error {
	info, err := m.from[0].Stat(ctx, d)
	if millpond.Is(err, millpond.NotFound) || m.damaged[d] {
		return nil
	}
	if err != nil {
		return err
	}
	if have, err := m.store.Stat(ctx, d); err == nil && have.Size == info.Size {
		return nil
	}
	links := m.from[1:]
	if m.options.Link {
		links = m.from
	}
	for _, r := range links {
		if other, err := r.Stat(ctx, d); err != nil || other.Size != info.Size {
			continue
		}
		err := m.store.Link(ctx, r, d)
		if err == nil || m.options.Link && !millpond.Is(err, millpond.NotFound) {
			return err
		}
	}
	err = copyBlob(ctx, m.store, m.from[0], d)
	switch {
	case millpond.Is(err, millpond.NotFound):
		return nil
	case millpond.Is(err, millpond.Corrupt) || errors.Is(err, errRead):
		m.damaged[d] = true
		return nil
	}
	m.copied++
	return err
}

// finish writes down what was copied, which makes the backup whole.
func (m *maker) finish(data string, out *Manifest) error {
	if err := m.heads(data); err != nil {
		return err
	}
	out.Files = map[string]millpond.Digest{}
	for _, name := range append(sql.Files(), headsName) {
		d, err := sumOf(filepath.Join(m.to, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		out.Files[name] = d
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	if err := write(m.to, manifestName, append(text, '\n')); err != nil {
		return err
	}
	return errors.Join(os.Remove(filepath.Join(m.to, partialName)), syncDir(m.to))
}

// heads copies the signed heads that stand there now.
func (m *maker) heads(data string) error {
	f, err := os.Open(filepath.Join(data, headsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return copyTo(filepath.Join(m.to, headsName), f)
}

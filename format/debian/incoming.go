package debian

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
)

// dput sends all files of an upload to incoming/, the .changes last. What came before is left where only its publisher finds
// it, by name and digest; the .changes names it, and makes all of it one version, in one transaction.

// incomingName is the name under which a file waits.
func incomingName(digest, name string) string { return "incoming/" + digest + "/" + name }

// An incoming is what is recorded of a .deb that waits: its control file, which need not be read again.
type incoming struct {
	Control string `json:"control,omitempty"`
}

func (h handler) putIncoming(w http.ResponseWriter, r *http.Request, name string) error {
	if strings.HasSuffix(name, ".changes") {
		return h.putChanges(w, r, name)
	}
	body, meta := io.Reader(r.Body), incoming{}
	var source string
	if strings.HasSuffix(name, "deb") {
		var front bytes.Buffer
		c, err := readDeb(r.Body, &front)
		if err != nil {
			return err
		}
		if err := mayProvide(r.Context(), h.repo, c); err != nil {
			return err
		}
		source, _ = c.source()
		meta.Control, body = c.text, io.MultiReader(&front, r.Body)
	} else {
		var err error
		if source, err = sourceOfFile(name); err != nil {
			return err
		}
	}
	if err := h.repo.May(r.Context(), millpond.VerbPublish, source); err != nil {
		return err
	}
	up, err := upload(r.Context(), h.repo, source, r.ContentLength)
	if err != nil {
		return err
	}
	defer up.Close()
	if err := up.copy(r.Context(), body); err != nil {
		return err
	}
	f, err := up.file(r.Context(), "")
	if err != nil {
		return err
	}
	f.Name, f.Type = incomingName(f.Blob.Hex(), name), typeOf(name)
	if f.Meta, err = json.Marshal(meta); err != nil {
		return err
	}
	if err := leave(r.Context(), h.repo, source, f); err != nil {
		return err
	}
	return answer(w, []*format.Published{{Key: millpond.Key{Package: source, File: name}, New: true}})
}

// A changes is what a .changes says.
type changes struct {
	source, version, suite string
	files                  []string
	want                   map[string][2]string
	component              map[string]string // of each file
}

func readChanges(name string, raw []byte) (*changes, error) {
	text, _, _, err := splitSigned(raw)
	if err != nil {
		return nil, invalid("%s cannot be read: %v", name, err)
	}
	f := fieldsOf(text)
	c := &changes{version: f["Version"], suite: f["Distribution"], component: map[string]string{}}
	if c.source, c.version = sourceOf("", f["Source"], f["Version"]); !isSourceName(c.source) || !isVersion(c.version) || f["Checksums-Sha256"] == "" {
		return nil, invalid("%s is no description of an upload with SHA256 sums", name)
	}
	if !isSuiteWord(c.suite) {
		return nil, invalid("%s is for %.60q, which is no one suite", name, c.suite)
	}
	if c.files, c.want, err = checksums(name, "", f["Checksums-Sha256"]); err != nil {
		return nil, err
	}
	for line := range strings.Lines(f["Files"]) { // digest, size, section, priority, name
		if fields := strings.Fields(line); len(fields) == 5 {
			component, _, ok := strings.Cut(fields[2], "/")
			if !ok || !isSuiteWord(component) {
				component = "main"
			}
			c.component[fields[4]] = component
		}
	}
	return c, nil
}

// putChanges publishes what a .changes lists.
func (h handler) putChanges(w http.ResponseWriter, r *http.Request, name string) error {
	source, err := sourceOfFile(name)
	if err != nil {
		return err
	}
	if err := h.repo.May(r.Context(), millpond.VerbPublish, source); err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, controlLimit))
	if err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the description of the upload cannot be read", Err: err}
	}
	c, err := readChanges(name, raw)
	if err != nil {
		return err
	}
	if c.source != source {
		return invalid("%s is an upload of %s, and should be called after it", name, c.source)
	}
	if err := enter(r.Context(), h.repo, c.suite, ""); err != nil {
		return err
	}
	looser, ok := h.repo.(format.Looser)
	if !ok {
		return &millpond.Error{Kind: millpond.Unsupported, Why: "this repository takes no uploads in parts"}
	}
	waiting, err := looser.Loose(r.Context(), c.source, "incoming/")
	if err != nil && !millpond.Is(err, millpond.NotFound) {
		return err
	}
	var all []arrival
	for _, file := range c.files {
		if strings.HasSuffix(file, ".buildinfo") {
			continue // which no archive lists
		}
		i := slices.IndexFunc(waiting, func(f millpond.File) bool {
			return f.Name == incomingName(strings.TrimPrefix(c.want[file][0], "sha256:"), file)
		})
		if i < 0 {
			return invalid("%s names %s, which was not uploaded before, or not with these bytes", name, file)
		}
		one, err := h.taken(r.Context(), c, file, waiting[i])
		if err != nil {
			return err
		}
		all = append(all, *one)
	}
	if !slices.ContainsFunc(c.files, func(f string) bool { return strings.HasSuffix(f, "deb") || strings.HasSuffix(f, ".dsc") }) {
		return invalid("%s names no package", name)
	}
	done, err := releaseAll(r.Context(), h.repo, all)
	if err != nil {
		return err
	}
	return answer(w, done)
}

// taken is a file that has waited, as what the .changes makes of it.
func (h handler) taken(ctx context.Context, c *changes, name string, f millpond.File) (*arrival, error) {
	component := c.component[name]
	if component == "" {
		component = "main"
	}
	k := millpond.Key{Package: c.source, Version: c.version}
	var meta incoming
	if err := json.Unmarshal(f.Meta, &meta); err != nil {
		return nil, err
	}
	was := f.Name
	f = millpond.File{Blob: f.Blob, Size: f.Size, Digests: f.Digests}
	ready := func(f millpond.File) *arrival {
		k.File = f.Name
		return &arrival{k, func(context.Context) ([]millpond.File, error) { return []millpond.File{f}, nil }}
	}
	switch {
	case meta.Control != "":
		ctl := &control{text: meta.Control, fields: fieldsOf([]byte(meta.Control))}
		if source, version := ctl.source(); source != c.source || version != c.version {
			return nil, invalid("%s is of %s %s, and the upload is one of %s %s", name, source, version, c.source, c.version)
		}
		if err := enter(ctx, h.repo, c.suite, ctl.fields["Architecture"]); err != nil {
			return nil, err
		}
		if err := placeDeb(&f, ctl, c.suite, component, name); err != nil {
			return nil, err
		}
		return ready(f), nil
	case strings.HasSuffix(name, ".dsc"):
		return h.takenDsc(ctx, c, component, name, was, f)
	}
	// A part of a source package: its .dsc brings it along.
	k.File = name
	return &arrival{k, func(context.Context) ([]millpond.File, error) { return nil, nil }}, nil
}

func (h handler) takenDsc(ctx context.Context, c *changes, component, name, was string, f millpond.File) (*arrival, error) {
	body, err := h.repo.Open(ctx, millpond.Key{Package: c.source, File: was})
	if err != nil {
		return nil, err
	}
	raw, err := readAll(body, controlLimit)
	if err != nil {
		return nil, err
	}
	d, err := readDsc(name, raw)
	if err != nil {
		return nil, err
	}
	if d.source != c.source || d.version != c.version {
		return nil, invalid("%s describes %s %s, and the upload is one of %s %s", name, d.source, d.version, c.source, c.version)
	}
	if err := d.place(&f, c.suite, component); err != nil {
		return nil, err
	}
	return &arrival{millpond.Key{Package: c.source, Version: c.version, File: f.Name}, func(ctx context.Context) ([]millpond.File, error) {
		files := []millpond.File{f}
		dir, _ := split(f.Name)
		for _, part := range d.parts {
			left := incomingName(strings.TrimPrefix(d.want[part][0], "sha256:"), part)
			one, err := partFile(ctx, h.repo, c.source, c.version, left, dir+"/"+part, d.want[part])
			if err != nil {
				return nil, err
			}
			files = append(files, one)
		}
		return files, nil
	}}, nil
}

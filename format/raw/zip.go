package raw

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"millpond"
	"millpond/format"
)

const (
	mostMembers   = 100_000
	largestMember = 1 << 30
	mostRatio     = 200 // of a member to its packed form, beyond a megabyte
)

// An archive is a file that is read at any offset.
type archive struct {
	*millpond.Content
	content *content
	mu      sync.Mutex // guards the position of Content
}

// openArchive opens a file that is here, or once it is: its newest content, or the one that pick names.
func (h handler) openArchive(ctx context.Context, name, pick string) (*archive, error) {
	c, err := h.find(ctx, name, pick)
	if err != nil {
		return nil, err
	}
	body, err := h.repo.Open(ctx, c.key())
	if err != nil {
		return nil, err
	}
	if body.ReadSeekCloser == nil {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: name + " is not held here", Hint: "fill: redirect keeps no bytes at first"}
	}
	a := &archive{Content: body, content: c}
	if arriving, ok := body.ReadSeekCloser.(millpond.Arriving); ok && body.Growing && !arriving.Await(ctx, 1<<62) {
		if body.Size, err = body.Seek(0, io.SeekEnd); err != nil {
			a.Close()
			return nil, &millpond.Error{Kind: millpond.BadUpstream, Why: name + " is still on its way", Hint: "ask again in a moment", Err: err}
		}
	}
	return a, nil
}

// ReadAt implements io.ReaderAt.
func (a *archive) ReadAt(p []byte, off int64) (int, error) {
	if at, ok := a.ReadSeekCloser.(io.ReaderAt); ok {
		return at.ReadAt(p, off)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(a.ReadSeekCloser, p)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

func errZip(why string, err error) error {
	return &millpond.Error{Kind: millpond.Invalid, Why: why, Err: err}
}

// readZip reads the directory at the end of an archive, which is no larger than it may be.
func readZip(at io.ReaderAt, size int64) (*zip.Reader, error) {
	z, err := format.OpenZip(at, size)
	switch {
	case millpond.Is(err, millpond.TooLarge):
		return nil, err
	case err != nil && err != zip.ErrInsecurePath:
		return nil, errZip("this is no zip archive that can be read", err)
	case len(z.File) > mostMembers:
		return nil, errZip(fmt.Sprintf("the archive has more than %d members", mostMembers), nil)
	}
	return z, nil
}

func (h handler) getZip(w http.ResponseWriter, r *http.Request, p Path) error {
	a, err := h.openArchive(r.Context(), p.Name, linkedVersion(r))
	if err != nil {
		return err
	}
	defer a.Close()
	z, err := readZip(a, a.Size)
	if err != nil {
		return err
	}
	if p.Member == "" {
		return h.listZip(w, r, p, z)
	}
	for _, f := range z.File {
		if f.Name == p.Member {
			return h.serveMember(w, r, a, f)
		}
	}
	return &millpond.Error{Kind: millpond.NotFound, Why: fmt.Sprintf("%s has no member %s", p.Name, shorten(p.Member))}
}

// A member is a line of an archive's list.
type member struct {
	Name     string    `json:"name"`
	Size     uint64    `json:"size"`
	Modified time.Time `json:"modified,omitzero"`
	Why      string    `json:"refused,omitempty"` // why it is not given
}

func (h handler) listZip(w http.ResponseWriter, r *http.Request, p Path, z *zip.Reader) error {
	all := make([]member, 0, len(z.File))
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		m := member{Name: strings.ToValidUTF8(f.Name, "\ufffd"), Size: f.UncompressedSize64, Modified: f.Modified.UTC()}
		if err := readable(f); err != nil {
			m.Why, _ = format.Words(err)
		}
		all = append(all, m)
	}
	if r.URL.Query().Get("format") == "json" {
		body, err := json.MarshalIndent(map[string]any{"path": p.Name, "members": all}, "", "  ")
		if err != nil {
			return err
		}
		return h.answer(w, r, "application/json", append(body, '\n'))
	}
	var b bytes.Buffer
	title := html.EscapeString(p.Name)
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>%s</title></head>\n<body>\n<h1>%s</h1>\n<table>\n", title, title)
	for _, m := range all {
		name := html.EscapeString(m.Name)
		if m.Why != "" {
			fmt.Fprintf(&b, "<tr><td>%s</td><td align=\"right\">%d</td><td>%s</td></tr>\n", name, m.Size, html.EscapeString(m.Why))
			continue
		}
		fmt.Fprintf(&b, "<tr><td><a href=\"%s\">%s</a></td><td align=\"right\">%d</td></tr>\n",
			html.EscapeString(h.repo.Base(r).Path+Path{Kind: Zip, Name: p.Name, Member: m.Name}.String()[1:]), name, m.Size)
	}
	b.WriteString("</table>\n</body>\n</html>\n")
	return h.answer(w, r, "text/html; charset=utf-8", b.Bytes())
}

// readable is nil for a member that is given to readers.
func readable(f *zip.File) error {
	switch {
	case check(f.Name) != nil:
		return errZip("its name is no path", nil)
	case f.Flags&1 != 0:
		return errZip("it is encrypted", nil)
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return errZip(fmt.Sprintf("it is packed by a method (%d) that is not read here", f.Method), nil)
	case f.UncompressedSize64 > largestMember:
		return errZip("it is larger than 1 GiB", nil)
	case f.Method == zip.Store && f.CompressedSize64 != f.UncompressedSize64:
		return errZip("its sizes do not agree", nil)
	case f.UncompressedSize64 > 1<<20 && f.UncompressedSize64/mostRatio > f.CompressedSize64:
		return errZip("it unpacks to more than 200 times its size", nil)
	}
	return nil
}

// serveMember answers with one member, as if it were a file.
func (h handler) serveMember(w http.ResponseWriter, r *http.Request, a *archive, f *zip.File) error {
	if err := readable(f); err != nil {
		return err
	}
	name := f.Name
	c := &content{name: name, version: a.content.version, file: &millpond.File{Type: typeOf(name)}}
	body := &millpond.Content{Size: int64(f.UncompressedSize64), Modified: a.Modified}
	if sum := hexOf(a.content.file.Digests, "sha256"); sum != "" {
		body.Entity = fmt.Sprintf(`"%s-%08x-%x"`, sum[:32], f.CRC32, f.UncompressedSize64)
	}
	w.Header()["Cache-Control"] = noCache
	h.describe(w.Header(), c, body)
	if f.Method == zip.Store {
		off, err := f.DataOffset()
		if err != nil {
			return errZip("the member cannot be found", err)
		}
		body.ReadSeekCloser = section{io.NewSectionReader(a, off, int64(f.UncompressedSize64))}
		return format.Serve(w, r, body)
	}
	if asked := r.Header["If-None-Match"]; len(asked) > 0 && format.Matches(strings.Join(asked, ","), body.Entity) {
		w.Header()["Etag"] = []string{body.Entity}
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if r.Method == http.MethodHead {
		return format.Serve(w, r, body)
	}
	in, err := f.Open()
	if err != nil {
		return errZip("the member cannot be unpacked", err)
	}
	defer in.Close()
	head := w.Header()
	if body.Entity != "" {
		head["Etag"] = []string{body.Entity}
	}
	head["Content-Length"] = []string{strconv.FormatInt(body.Size, 10)}
	w.WriteHeader(http.StatusOK)
	if n, err := io.Copy(w, io.LimitReader(in, body.Size+1)); err != nil || n != body.Size {
		format.Report(w, errZip("the member is not what the archive says of it", err))
		panic(http.ErrAbortHandler) // its length was announced: no client takes it for whole
	}
	return nil
}

// section is a part of a file as a body.
type section struct{ *io.SectionReader }

func (section) Close() error { return nil }

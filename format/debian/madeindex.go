package debian

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

func (h handler) getMadeIndex(w http.ResponseWriter, r *http.Request, pkg *millpond.Package, is func(madeFile) bool, cache string) error {
	m, _, err := h.make(r.Context(), pkg)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(m.Files, is)
	if i < 0 {
		return noIndex(pkg.Name, r.URL.Path)
	}
	return h.sendMade(w, r, m, m.Files[i], cache)
}

func (h handler) getMadeHash(w http.ResponseWriter, r *http.Request, pkg *millpond.Package, d millpond.Digest) error {
	m, _, err := h.make(r.Context(), pkg)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(m.Files, func(f madeFile) bool { return f.SHA256 == d.Hex() }); i >= 0 {
		return h.sendMade(w, r, m, m.Files[i], format.Immutable(h.repo))
	}
	for _, f := range m.Files { // an older form of one of these
		c, err := h.repo.Derive(r.Context(), format.Derivation{Name: "index/" + pkg.Name + "/" + f.Path, Stamp: d.Hex(), Type: "application/json", Keep: keptForms}, func(io.Writer) error { return errLost })
		if errors.Is(err, error(errLost)) {
			continue
		}
		if err != nil {
			return err
		}
		b, err := readAll(c, 16<<20)
		if err != nil {
			return err
		}
		var old madeFile
		if err := json.Unmarshal(b, &old); err != nil {
			return err
		}
		return h.sendMade(w, r, m, old, format.Immutable(h.repo))
	}
	return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: pkg.Name}, Why: "no Release of " + pkg.Name + " that is kept lists an index of that digest"}
}

func (h handler) sendMade(w http.ResponseWriter, r *http.Request, m *madeRelease, f madeFile, cache string) error {
	d, err := millpond.ParseDigest("sha256:" + f.SHA256)
	if err != nil {
		return err
	}
	c := &millpond.Content{Size: f.Size, Digest: d}
	h.settled(c, m)
	if r.Method != http.MethodHead {
		j := &joined{ctx: r.Context(), h: h, pieces: f.Pieces, size: f.Size}
		if f.Size > 0 {
			if err := j.open(); err != nil { // before anything is answered
				return err
			}
		}
		c.ReadSeekCloser = j
	}
	return h.send(w, r, c, typeOf(f.Path), cache)
}

// A joined reads the pieces of an index, one behind the other.
type joined struct {
	ctx    context.Context
	h      handler
	pieces []piece
	size   int64
	off    int64
	body   *millpond.Content // of the piece at off; nil if none is open
	left   int64             // of it
}

// open opens the piece at off.
func (j *joined) open() error {
	at := int64(0)
	for _, p := range j.pieces {
		if j.off >= at+p.Length {
			at += p.Length
			continue
		}
		c, err := j.h.repo.Derive(j.ctx, format.Derivation{Name: p.Bucket, Stamp: p.Stamp, Type: typeAny, Keep: keptForms}, func(io.Writer) error { return errLost })
		if err != nil {
			return err
		}
		if _, err := c.Seek(p.Offset+j.off-at, io.SeekStart); err != nil {
			c.Close()
			return err
		}
		j.body, j.left = c, at+p.Length-j.off
		return nil
	}
	return io.EOF
}

func (j *joined) Read(b []byte) (int, error) {
	if j.body == nil {
		if j.off >= j.size {
			return 0, io.EOF
		}
		if err := j.open(); err != nil {
			return 0, err
		}
	}
	n, err := j.body.Read(b[:min(int64(len(b)), j.left)])
	j.off += int64(n)
	if j.left -= int64(n); j.left == 0 {
		j.Close()
		return n, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (j *joined) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += j.off
	case io.SeekEnd:
		off += j.size
	}
	if off < 0 {
		return 0, fmt.Errorf("seek to %d: before the start", off)
	}
	if off != j.off {
		j.Close()
	}
	j.off = off
	return off, nil
}

func (j *joined) Close() error {
	if j.body == nil {
		return nil
	}
	err := j.body.Close()
	j.body = nil
	return err
}

const (
	keyName = "signing-key"
	// keyAge is how old a new key says that it is: a clock that is set back a little must not make it one of the future.
	keyAge = 24 * time.Hour
)

// signer is the key of the repository, made when it is first wanted.
func (h handler) signer(ctx context.Context) (signer, error) {
	b, err := h.repo.Secret(ctx, keyName, func() ([]byte, error) { return newKey(h.repo.Name(), h.repo.Now().Add(-keyAge)) })
	if err != nil {
		return signer{}, err
	}
	return readSigner(b)
}

func (h handler) getKey(w http.ResponseWriter, r *http.Request, p Path) error {
	s, err := h.signer(r.Context())
	if err != nil {
		return err
	}
	b, err := s.public(p.File == "key.asc")
	if err != nil {
		return err
	}
	return h.send(w, r, &millpond.Content{ReadSeekCloser: textBody(b), Size: int64(len(b)), Digest: millpond.SHA256(b)}, typeKey, "max-age=300")
}

// getSources answers with a deb822 source of a suite of our own: ?suite= and ?component= choose, else the option suite.
func (h handler) getSources(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	suite, components := q.Get("suite"), q["component"]
	if suite == "" {
		suite = h.repo.Option("suite")
	}
	if len(components) == 0 {
		components = []string{"main"}
	}
	for _, word := range append([]string{suite}, components...) {
		if !isSuiteWord(word) {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.60q is no suite or component", word)}
		}
	}
	s, err := h.signer(r.Context())
	if err != nil {
		return err
	}
	key, err := s.public(true)
	if err != nil {
		return err
	}
	b := []byte(deb822(strings.TrimSuffix(h.repo.Base(r).String(), "/"), suite, components, string(key)))
	return h.send(w, r, &millpond.Content{ReadSeekCloser: textBody(b), Size: int64(len(b)), Digest: millpond.SHA256(b)}, typeText, "no-cache")
}

// deb822 is a source as apt reads it from a file of /etc/apt/sources.list.d, with the key in it.
func deb822(uri, suite string, components []string, key string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By:\n", uri, suite, strings.Join(components, " "))
	for line := range strings.Lines(strings.TrimRight(key, "\n")) {
		if line = strings.TrimRight(line, "\n"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}

package rubygems

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"time"

	"millpond"
	"millpond/format"
)

// errMoved is what a derivation ends in whose package has changed since its stamp was asked for.
var errMoved = errors.New("the gem has changed meanwhile")

var varyEncoding = []string{"Accept-Encoding"} // never changed

// getInfo answers with the info of a gem: what the reader may see of it. A gem that is there and of which nothing may be
// seen has an empty one, for an error would send the client to the legacy indexes.
func (h handler) getInfo(w http.ResponseWriter, r *http.Request, name string) error {
	if h.log.hasMoved(name) {
		if err := h.repo.Refresh(r.Context(), name); err != nil {
			return err
		}
	}
	for try := 0; ; try++ {
		stamp, _, err := h.repo.Stamp(r.Context(), name)
		if err != nil {
			return err
		}
		err = h.serveInfo(w, r, name, stamp)
		if try == 2 || !errors.Is(err, errMoved) {
			return err
		}
	}
}

func (h handler) serveInfo(w http.ResponseWriter, r *http.Request, name, stamp string) error {
	d := format.Derivation{Name: "info/" + name, Stamp: stamp, Type: typeText}
	write := func(to io.Writer) error {
		// Others wait for this document, so it is finished though its first reader leaves; it ends by itself.
		p, err := h.repo.Package(context.WithoutCancel(r.Context()), name)
		if err != nil {
			return err
		}
		if p.Stamp != stamp {
			return errMoved
		}
		text, err := infoText(p)
		if err == nil {
			_, err = to.Write(text)
		}
		return err
	}
	s, ok := h.log.sum(name, stamp)
	if !ok {
		c, err := h.repo.Derive(r.Context(), d, write)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(c)
		c.Close()
		if err != nil {
			return err
		}
		s = sumOf(text)
		s.stamp = stamp
		h.log.keep(name, s)
		if err := h.touch(r.Context(), name, stamp, s.md5, text); err != nil {
			return err
		}
	}
	d.Encoding = format.Encoding(r)
	header := w.Header()
	header["Vary"] = varyEncoding
	header["Cache-Control"] = []string{h.moves()}
	header["Content-Type"] = []string{typeText}
	sums(header, s)
	c, err := h.repo.Derive(r.Context(), d, write)
	if err != nil {
		return err
	}
	c.Entity = tagFor(s.md5, d.Encoding, c)
	if r, err = wholeUnlessPrefix(r, c); err != nil {
		c.Close()
		return err
	}
	return format.Serve(w, r, c)
}

// wholeUnlessPrefix drops the range of a client whose text is no beginning of this one, as its digest tells: it would fetch a
// tail of no use, and then all.
func wholeUnlessPrefix(r *http.Request, c *millpond.Content) (*http.Request, error) {
	if len(r.Header["Range"]) != 1 || len(r.Header["If-None-Match"]) != 1 || c.ReadSeekCloser == nil || c.Encoding != "" {
		return r, nil
	}
	have := int64(begins(r.Header.Get("Range"))) + 1 // Bundler asks from its last byte on
	if have <= c.Size {
		five := md5.New()
		if _, err := io.CopyN(five, c, have); err != nil {
			return r, err
		}
		if _, err := c.Seek(0, io.SeekStart); err != nil {
			return r, err
		}
		if format.Matches(r.Header.Get("If-None-Match"), `"`+hex.EncodeToString(five.Sum(nil))+`"`) {
			return r, nil
		}
	}
	r = r.Clone(r.Context())
	r.Header.Del("Range")
	return r, nil
}

// tagFor is the entity tag that Bundler compares with the md5 of its file. No client of this ecosystem asks for zstd.
func tagFor(sum, encoding string, c *millpond.Content) string {
	switch encoding {
	case "":
		return `"` + sum + `"`
	case "gzip":
		return `W/"` + sum + `"`
	}
	return ""
}

func sums(h http.Header, s sum) {
	h["Repr-Digest"] = []string{"sha-256=:" + s.sha + ":"}
	h["Digest"] = []string{"sha-256=" + s.sha}
}

func sumOf(text []byte) sum {
	five, two := md5.Sum(text), sha256.Sum256(text)
	return sum{md5: hex.EncodeToString(five[:]), sha: base64.StdEncoding.EncodeToString(two[:])}
}

// touch tells the log of names what the info of a gem is that was just made.
func (h handler) touch(ctx context.Context, name, stamp, md5 string, text []byte) error {
	p, err := h.repo.Package(ctx, name)
	if err != nil {
		return err
	}
	if p.Stamp != stamp {
		return errMoved
	}
	h.log.touch(h.repo.Now(), name, row{said: note(listed(text), md5), until: until(p)})
	return nil
}

// until is when a hidden version of a package comes into sight; zero if none will.
func until(p *millpond.Package) time.Time {
	var first time.Time
	for i := range p.Hidden {
		if after := p.Hidden[i].After; !after.IsZero() && (first.IsZero() || after.Before(first)) {
			first = after
		}
	}
	return first
}

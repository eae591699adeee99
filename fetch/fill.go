package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"millpond"
)

const (
	progress    = 64 << 10 // a try that brought so much begins the count of tries anew
	mostResumes = 100
	mostChanges = 2
)

// fill downloads, verifies and seals. It returns the digest of the sealed blob, zero if nothing was kept.
func (f *flight) fill(ctx context.Context) (millpond.Digest, error) {
	if f.file.Get == nil && f.u.dir == "" {
		if err := f.u.ill(f.file.URL); err != nil {
			return millpond.Digest{}, err
		}
	}
	leave, err := f.u.enter(ctx)
	if err != nil {
		return millpond.Digest{}, err
	}
	defer func() {
		if leave != nil {
			leave()
		}
	}()
	f.begin(ctx)
	since, tries, changes := f.began, 0, 0
	for resumes := 0; ; resumes++ {
		if leave == nil {
			if leave, err = f.u.enter(ctx); err != nil {
				return millpond.Digest{}, err
			}
		}
		before := f.arrived
		err := f.attempt(ctx)
		if f.came = err == nil; f.came {
			if f.file.Verify != nil {
				// It may ask the upstream too: of as many as there are places, each would wait for one, and none give up its own.
				leave()
				leave = nil
			}
			var sealed millpond.Digest
			if sealed, err = f.finish(ctx); err == nil {
				return sealed, nil
			}
		}
		if ctx.Err() != nil {
			return millpond.Digest{}, canceled(ctx)
		}
		if millpond.Is(err, millpond.Corrupt) {
			f.e.corrupt.Add(1)
			f.damaged = true
			if f.fresh || f.file.Get != nil || f.given() {
				return millpond.Digest{}, err
			}
			f.e.log.Warn("an upstream gave other bytes than declared; asking once more", "upstream", f.u.settings.Name,
				"file", f.name(), "err", err)
			f.fresh, f.raw = true, !f.raw
			f.restart(ctx)
			f.damaged, since, tries = false, time.Now(), 0
			continue
		}
		fl, ok := errors.AsType[*failure](err)
		if !ok {
			return millpond.Digest{}, err
		}
		if fl.again {
			if changes++; changes > mostChanges {
				return millpond.Digest{}, fl.tell(f.u.settings.Name, 0, f.e.now())
			}
			f.restart(ctx)
			continue
		}
		if f.arrived-before >= progress {
			since, tries = time.Now(), 0
		}
		if tries++; resumes == mostResumes {
			return millpond.Digest{}, fl.tell(f.u.settings.Name, 0, f.e.now())
		}
		if err := f.u.retry(ctx, err, tries, since); err != nil {
			return millpond.Digest{}, err
		}
	}
}

// attempt is one try: from the first byte, or from where the last one broke off.
func (f *flight) attempt(ctx context.Context) error {
	switch {
	case f.file.Get != nil:
		f.whole = true
		if err := f.announce("", f.file.Size); err != nil {
			return err
		}
		return f.file.Get(ctx, takeWriter{f})
	case f.u.dir != "":
		return f.copyLocal()
	}
	at := f.arrived
	h := http.Header{"Accept-Encoding": {"identity"}}
	h.Set("Accept", orAny(f.file.Accept))
	if f.fresh {
		h.Set("Cache-Control", "no-cache")
		h.Set("Pragma", "no-cache")
	}
	ranged := at > 0 && (f.tag != "" || f.judged())
	if ranged {
		h.Set("Range", fmt.Sprintf("bytes=%d-", at))
		if f.tag != "" {
			h.Set("If-Range", f.tag)
		}
	}
	a, err := f.u.ask(ctx, question{method: http.MethodGet, url: f.file.URL, header: h, follow: true, scope: f.file.Scope})
	if err != nil {
		return err
	}
	defer a.close()
	defer func() { f.wire += a.body.wire }()
	from, total := int64(0), a.ContentLength
	switch {
	case a.StatusCode == http.StatusOK:
	case a.StatusCode == http.StatusPartialContent && ranged:
		var ok bool
		if from, total, ok = contentRange(a.Header.Get("Content-Range")); !ok || from != at {
			return f.otherObject("answered another part than was asked for")
		}
		if tag := strongTag(a.Header); tag != "" && f.tag != "" && tag != f.tag {
			return f.otherObject("changed the file while it was read")
		}
		if total < 0 {
			total = f.size
		}
		if total < 0 && !f.judged() {
			return f.otherObject("answered a part of a whole whose size it does not tell")
		}
		if f.tag != "" {
			f.vouch() // If-Range was kept; without a tag only the digest of the whole tells
		}
	case a.StatusCode == http.StatusRequestedRangeNotSatisfiable && ranged:
		return f.otherObject("changed the file while it was read")
	default:
		return refused(a.Response, f.e.now())
	}
	return f.read(a, from, at, total)
}

// otherObject is the failure after which the download starts over.
func (f *flight) otherObject(what string) error {
	return &failure{kind: millpond.BadUpstream, what: what, again: true}
}

// read takes the body of an answer that begins at from. What was read before, up to at, is not taken again but compared:
// the parts of two objects are never put together.
func (f *flight) read(a *answer, from, at, total int64) error {
	coding, err := codingOf(a.Header)
	if err != nil {
		return &failure{kind: millpond.BadUpstream, what: err.Error()}
	}
	if coding != "" && at > 0 {
		return f.otherObject("changed the file while it was read")
	}
	if coding != "" && f.file.Size >= 0 && total == f.file.Size {
		f.raw = true // the server labels what is packed by nature
	}
	f.whole = framed(a.Response)
	if !f.whole && f.file.Size < 0 && !f.judged() {
		return &failure{kind: millpond.BadUpstream,
			what: "sends " + f.name() + " without its length, and nobody declared its digest: a part could not be told from the whole"}
	}
	if coding != "" {
		f.coding, total = coding, -1
	}
	f.tag, f.url = strongTag(a.Header), a.url
	if f.file.Answered != nil {
		f.file.Answered(a.Header)
	}
	if err := f.announce(a.Header.Get("Content-Type"), total); err != nil {
		return err
	}
	src := &broke{r: a.body}
	var r io.Reader = src
	if coding != "" && !f.raw {
		plain, done, err := decode(coding, src)
		if err != nil {
			return f.undecoded(a, src)
		}
		defer done()
		r = plain
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	pos := from
	for {
		n, err := r.Read(buf[:])
		p := buf[:n]
		if k := min(int64(n), at-pos); k > 0 {
			if !f.same(p[:k], pos) {
				return f.otherObject("changed the file while it was read")
			}
			if p, pos = p[k:], pos+k; pos == at {
				f.vouch()
			}
		}
		if len(p) > 0 {
			if err := f.take(p); err != nil {
				return err
			}
			pos += int64(len(p))
		}
		if err == io.EOF {
			break
		}
		if src.err != nil {
			return a.broke(f.u, src.err)
		}
		if err != nil {
			return f.undecoded(a, src)
		}
	}
	switch {
	case pos < at:
		return f.otherObject("changed the file while it was read")
	case pos < f.size && (!f.whole || f.file.Size < 0):
		return a.broke(f.u, io.ErrUnexpectedEOF) // whatever its frame says, it is not what was announced
	}
	return nil
}

// undecoded is the failure of a body that cannot be unpacked: perhaps it was never packed but is so by nature.
func (f *flight) undecoded(a *answer, src *broke) error {
	if src.err != nil {
		return a.broke(f.u, src.err)
	}
	if f.raw {
		return &failure{kind: millpond.BadUpstream, what: "sent " + f.name() + " in a packing that cannot be undone"}
	}
	f.raw = true
	return f.otherObject("sent " + f.name() + " in a packing that cannot be undone")
}

// same compares bytes that came a second time. Where the first are gone, the tag of the object or the digest of the whole
// has to vouch for them.
func (f *flight) same(p []byte, off int64) bool {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	f.use.RLock()
	defer f.use.RUnlock()
	for len(p) > 0 {
		n, err := f.readAt(buf[:len(p)], off)
		if n == 0 && err != nil {
			return errors.Is(err, errGone) && f.judged()
		}
		if !bytes.Equal(buf[:n], p[:n]) {
			return false
		}
		p, off = p[n:], off+int64(n)
	}
	return true
}

// judged reports whether a digest of the whole will be checked.
func (f *flight) judged() bool {
	for _, d := range f.file.Want {
		if d.Hash() != nil {
			return true
		}
	}
	return false
}

// announce takes what a header says: the size (-1 if it does not) and the type.
func (f *flight) announce(kind string, total int64) error {
	if want := f.file.Size; want >= 0 {
		if total >= 0 && total != want {
			return f.otherSize(total)
		}
		total = want
	}
	if total > f.file.Limit {
		return f.tooLarge()
	}
	f.expect(total)
	f.mu.Lock()
	defer f.mu.Unlock()
	for b := range f.bodies {
		if b.told >= 0 && b.told != total {
			b.lost = changedUnder(f.u.settings.Name, f.name())
		}
	}
	f.size, f.kind, f.hold = total, kind, f.coding != "" || f.doubted
	f.wake()
	return nil
}

func (f *flight) otherSize(got int64) error {
	return &millpond.Error{Kind: millpond.Corrupt, Why: fmt.Sprintf("%s has %d bytes of %s where %d were declared; nothing was kept",
		f.u.settings.Name, got, f.name(), f.file.Size)}
}

func (f *flight) tooLarge() error {
	return &failure{kind: millpond.BadUpstream, what: fmt.Sprintf("sends %s, which is larger than the limit of %s", f.name(),
		sizeText(f.file.Limit))}
}

// given reports whether a reader has seen bytes of the present object.
func (f *flight) given() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for b := range f.bodies {
		if b.took {
			return true
		}
	}
	return false
}

// takeWriter is what File.Get writes to.
type takeWriter struct{ f *flight }

func (t takeWriter) Write(p []byte) (int, error) {
	if err := t.f.take(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// contentRange reads "bytes 10-99/100". The total is -1 if it is "*".
func contentRange(text string) (from, total int64, ok bool) {
	text, ok = strings.CutPrefix(text, "bytes ")
	span, all, ok2 := strings.Cut(text, "/")
	first, last, ok3 := strings.Cut(span, "-")
	from, err := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || !ok2 || !ok3 || err != nil || err2 != nil || from < 0 || end < from {
		return 0, 0, false
	}
	if all == "*" {
		return from, -1, true
	}
	total, err = strconv.ParseInt(all, 10, 64)
	return from, total, err == nil && end == total-1
}

package pypi

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"millpond"
)

// A jsonReader reads a document of any length as a stream; no string of it may be longer than longestString.
type jsonReader struct {
	*jsontext.Decoder
	in *allowance
}

// An allowance is a reader that fails when more is read than was allowed since the last time.
type allowance struct {
	r    io.Reader
	left int
}

var errLong = fmt.Errorf("it has a string of more than %d bytes", longestString) // never changed

func (a *allowance) Read(b []byte) (int, error) {
	if a.left <= 0 {
		return 0, errLong
	}
	n, err := a.r.Read(b[:min(len(b), a.left)])
	a.left -= n
	return n, err
}

func newJSONReader(r io.Reader) jsonReader {
	in := &allowance{r: r}
	d := jsonReader{jsontext.NewDecoder(in, jsontext.AllowDuplicateNames(true)), in}
	d.allow()
	return d
}

// allow lets the decoder read one more string.
func (d jsonReader) allow() { d.in.left = 2 * longestString }

// members calls f with the name of each member of the object that comes next. f reads the value.
func (d jsonReader) members(f func(name string) error) error {
	if d.PeekKind() != '{' {
		_, err := d.ReadToken()
		return errors.Join(errors.New("an object was expected"), err)
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() == '"' {
		d.allow()
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		name := memberName(v)
		d.allow()
		if err := f(name); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// memberName is the text of a name. Of those that every file of a page has no copy is made.
func memberName(v []byte) string {
	switch string(v) {
	case `"filename"`:
		return "filename"
	case `"url"`:
		return "url"
	case `"hashes"`:
		return "hashes"
	case `"sha256"`:
		return "sha256"
	case `"size"`:
		return "size"
	case `"upload-time"`:
		return "upload-time"
	case `"yanked"`:
		return "yanked"
	case `"core-metadata"`:
		return "core-metadata"
	case `"data-dist-info-metadata"`:
		return "data-dist-info-metadata"
	case `"dist-info-metadata"`:
		return "dist-info-metadata"
	case `"requires-python"`:
		return "requires-python"
	case `"provenance"`:
		return "provenance"
	}
	return unquote(v)
}

// elements calls f before each element of the array that comes next. f reads the element.
func (d jsonReader) elements(f func() error) error {
	if d.PeekKind() != '[' {
		_, err := d.ReadToken()
		return errors.Join(errors.New("an array was expected"), err)
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for k := d.PeekKind(); k != ']' && k != jsontext.KindInvalid; k = d.PeekKind() {
		d.allow()
		if err := f(); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// skip reads over the value that comes next, however long it is.
func (d jsonReader) skip() error {
	for depth := d.StackDepth(); ; {
		d.allow()
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		if d.StackDepth() <= depth {
			return nil
		}
	}
}

// text reads a string; "" if the value is something else.
func (d jsonReader) text() (string, error) {
	if d.PeekKind() != '"' {
		return "", d.skip()
	}
	t, err := d.ReadToken()
	if err != nil {
		return "", err
	}
	return t.String(), nil
}

// number reads a whole number that is not negative; -1 if the value is something else.
func (d jsonReader) number() (int64, error) {
	if d.PeekKind() != '0' {
		return -1, d.skip()
	}
	v, err := d.ReadValue()
	if err != nil {
		return -1, err
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || n < 0 {
		return -1, nil // 1e3, 0.5: no size that anybody sends
	}
	return n, nil
}

// readJSON reads a page as PEP 691 has it.
func (l *listing) readJSON(r io.Reader) error {
	d := newJSONReader(r)
	var hasFiles bool
	err := d.members(func(name string) error {
		switch name {
		case "meta":
			return d.members(func(name string) error { return l.readMeta(d, name) })
		case "name":
			return l.readProject(d)
		case "files":
			hasFiles = true
			return d.elements(func() error { return l.readFile(d) })
		case "project-status":
			return l.readStatus(d)
		}
		return d.skip()
	})
	switch {
	case err != nil:
		return err
	case !hasFiles:
		return errors.New("it lists no files")
	}
	return nil
}

func (l *listing) readMeta(d jsonReader, name string) error {
	switch name {
	case "api-version":
		version, err := d.text()
		if err != nil {
			return err
		}
		return checkAPI(version)
	case "_last-serial":
		n, err := d.number()
		l.meta.Serial = max(l.meta.Serial, n)
		return err
	}
	return d.skip()
}

// checkAPI refuses what a later major version of the API may mean by the same words (PEP 629).
func checkAPI(version string) error {
	if major, _, _ := strings.Cut(version, "."); version != "" && major != "1" {
		return fmt.Errorf("it is of version %.20q of the API, which is not known here", version)
	}
	return nil
}

func (l *listing) readProject(d jsonReader) error {
	name, err := d.text()
	if err != nil || name == "" {
		return err
	}
	if canon, ok := canonName(name); !ok || canon != l.project {
		return fmt.Errorf("it is the page of %.80q", name)
	}
	if name != l.project {
		l.meta.Display = name
	}
	return nil
}

func (l *listing) readStatus(d jsonReader) error {
	if d.PeekKind() == '"' {
		status, err := d.text()
		l.setStatus(status, "")
		return err
	}
	if d.PeekKind() != '{' {
		return d.skip()
	}
	var status, reason string
	err := d.members(func(name string) (err error) {
		switch name {
		case "status":
			status, err = d.text()
		case "reason":
			reason, err = d.text()
		default:
			err = d.skip()
		}
		return err
	})
	l.setStatus(status, reason)
	return err
}

func (l *listing) setStatus(status, reason string) {
	if status == "active" && reason == "" {
		status = ""
	}
	l.meta.Status, l.meta.Reason = status, reason
}

// readFile reads one file of a page. What is null or empty is as if it were not there.
func (l *listing) readFile(d jsonReader) error {
	f := listed{size: -1}
	var oldCore, newCore core
	err := d.members(func(name string) (err error) {
		switch name {
		case "filename":
			f.name, err = d.text()
		case "url":
			f.url, err = d.text()
		case "hashes":
			return f.readHashes(d)
		case "size":
			f.size, err = d.number()
		case "upload-time":
			var t string
			t, err = d.text()
			f.uploaded = parseTime(t)
		case "yanked":
			switch d.PeekKind() {
			case 't':
				f.yanked = true
				return d.skip()
			case '"':
				f.why, err = d.text()
				f.yanked = f.why != ""
			default:
				return d.skip()
			}
		case "core-metadata":
			newCore, err = d.core()
		case "dist-info-metadata", "data-dist-info-metadata":
			oldCore, err = d.core()
		case "provenance":
			f.attested, err = d.text()
		case "gpg-sig":
			f.signed = d.PeekKind() == 't'
			return d.skip()
		default:
			var v jsontext.Value
			if v, err = d.ReadValue(); err == nil && !strings.HasPrefix(name, "_") && string(v) != "null" && string(v) != `""` {
				f.member(name, v)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if !newCore.said {
		newCore = oldCore
	}
	f.core, f.coreSums = newCore.promised, newCore.sums
	l.add(&f)
	return nil
}

// member adds a member to the file's record, as it came.
func (f *listed) member(name string, value []byte) {
	if len(f.meta) > 0 {
		f.meta = append(f.meta, ',')
	}
	f.meta, _ = jsontext.AppendQuote(f.meta, name) // fails on broken UTF-8 only, which the decoder has refused
	f.meta = append(append(f.meta, ':'), value...)
}

// readHashes takes the digests that are known here; the others stay in the file's record.
func (f *listed) readHashes(d jsonReader) error {
	if d.PeekKind() != '{' {
		return d.skip()
	}
	var others []byte
	err := d.members(func(name string) error {
		if name == "sha256" && d.PeekKind() == '"' {
			v, err := d.ReadValue()
			if digest, ok := sha256Of(v); err == nil && ok {
				f.digests = append(f.digests, digest)
				return nil
			} else if sum := unquote(v); err == nil && sum != "" {
				others, err = appendHash(others, name, sum)
			}
			return err
		}
		sum, err := d.text()
		if err != nil || sum == "" {
			return err
		}
		if digest, ok := knownDigest(name, sum); ok {
			f.digests = append(f.digests, digest)
			return nil
		}
		others, err = appendHash(others, name, sum)
		return err
	})
	if len(others) > 0 {
		f.member("hashes", append(append([]byte{'{'}, others[1:]...), '}'))
	}
	return err
}

// appendHash adds a digest that is not known here, as it came.
func appendHash(b []byte, name, sum string) ([]byte, error) {
	b, err := jsontext.AppendQuote(append(b, ','), name)
	if err == nil {
		b, err = jsontext.AppendQuote(append(b, ':'), sum)
	}
	return b, err
}

// sha256Of reads a quoted sum: the one that nearly every file has, without a copy in between.
func sha256Of(v []byte) (millpond.Digest, bool) {
	const length = 64
	if len(v) != length+2 {
		return knownDigest("sha256", unquote(v))
	}
	d, err := millpond.ParseDigest("sha256:" + string(v[1:length+1]))
	if err != nil {
		return knownDigest("sha256", unquote(v)) // in capitals
	}
	return d, true
}

// knownDigest is a digest of an algorithm that bytes can be verified with here.
func knownDigest(algorithm, sum string) (millpond.Digest, bool) {
	switch algorithm = strings.ToLower(algorithm); algorithm {
	case "sha256", "sha512", "sha384", "sha1", "md5":
		d, err := millpond.ParseDigest(algorithm + ":" + strings.ToLower(sum))
		return d, err == nil
	}
	return millpond.Digest{}, false
}

// A core is what a page says of a file's core metadata.
type core struct {
	said, promised bool
	sums           []millpond.Digest
}

// core reads true, false, or an object of digests.
func (d jsonReader) core() (core, error) {
	switch d.PeekKind() {
	case 't':
		return core{said: true, promised: true}, d.skip()
	case 'f':
		return core{said: true}, d.skip()
	case '{':
		var f listed
		err := f.readHashes(d)
		return core{said: true, promised: true, sums: f.digests}, err
	}
	return core{}, d.skip()
}

// parseTime reads an upload time; the zero time if it is none.
func parseTime(s string) time.Time {
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

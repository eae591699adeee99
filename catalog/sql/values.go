package sql

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"millpond"
)

// Times are milliseconds since 1970 in UTC; the zero Time is 0.

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// ceilMillis is the first whole millisecond that is not before t.
func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return ms
}

// A moment scans a time.
type moment time.Time

// Scan implements sql.Scanner.
func (m *moment) Scan(v any) error {
	ms, ok := v.(int64)
	if !ok {
		return fmt.Errorf("%T is no time", v)
	}
	*m = moment{}
	if ms != 0 {
		*m = moment(time.UnixMilli(ms).UTC())
	}
	return nil
}

// Digests are their text; the zero Digest is NULL, which no index lists.

func nullDigest(d millpond.Digest) any {
	if d.IsZero() {
		return nil
	}
	return d.String()
}

// A digest scans one.
type digest millpond.Digest

// Scan implements sql.Scanner.
func (d *digest) Scan(v any) error {
	*d = digest{}
	if v == nil {
		return nil
	}
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("%T is no digest", v)
	}
	parsed, err := millpond.ParseDigest(s)
	*d = digest(parsed)
	return err
}

// digestList is the text of several digests, in their order.
func digestList(ds []millpond.Digest) string {
	words := make([]string, len(ds))
	for i, d := range ds {
		words[i] = d.String()
	}
	return strings.Join(words, " ")
}

// A digests scans a digestList.
type digests []millpond.Digest

// Scan implements sql.Scanner.
func (ds *digests) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("%T is no list of digests", v)
	}
	*ds = nil
	for word := range strings.FieldsSeq(s) {
		d, err := millpond.ParseDigest(word)
		if err != nil {
			return err
		}
		*ds = append(*ds, d)
	}
	return nil
}

// JSON is text; no JSON is NULL.

func nullJSON(m json.RawMessage) any {
	if len(m) == 0 {
		return nil
	}
	return string(m)
}

// A document scans JSON.
type document json.RawMessage

// Scan implements sql.Scanner.
func (m *document) Scan(v any) error {
	*m = nil
	if v == nil {
		return nil
	}
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("%T is no JSON", v)
	}
	*m = document(s)
	return nil
}

// A blob scans bytes without copying them: the driver has made these for us.
type blob []byte

// Scan implements sql.Scanner.
func (b *blob) Scan(v any) error {
	*b = nil
	if v == nil {
		return nil
	}
	bytes, ok := v.([]byte)
	if !ok {
		return fmt.Errorf("%T is no blob", v)
	}
	*b = bytes
	return nil
}

// number is 1 for true.
func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// A sum256 scans the 32 bytes of a SHA-256 into a digest; no bytes are the zero Digest.
type sum256 millpond.Digest

// Scan implements sql.Scanner.
func (d *sum256) Scan(v any) error {
	*d = sum256{}
	b, ok := v.([]byte)
	if !ok {
		return fmt.Errorf("%T is no hash", v)
	}
	if len(b) == 0 {
		return nil
	}
	parsed, err := millpond.NewDigest("sha256", b)
	*d = sum256(parsed)
	return err
}

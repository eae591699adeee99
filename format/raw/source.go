package raw

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// A source reads a tree of files over HTTP, or a bucket.
type source struct {
	format.NoSource
	remote format.Remote
}

// Source reads an upstream: any tree of files, whose directories nobody lists, or a bucket.
func (Format) Source(r format.Remote) format.Source { return source{remote: r} }

// Package asks what the upstream says of a path, and makes it the one version of it. Its name tells contents apart: whoever
// asks later and gets another one knows that the path has moved.
func (s source) Package(ctx context.Context, name string) (*millpond.Package, error) {
	none := func(why string) error {
		return &millpond.Error{Kind: millpond.NotFound, Key: millpond.Key{Package: name}, Why: why}
	}
	if strings.HasSuffix(name, "/") {
		return nil, none(s.remote.Name() + " is asked for files only")
	}
	if only := s.remote.Option("allow"); only != "" && !anyCovers(only, name) {
		return nil, none(fmt.Sprintf("%s is not asked for %s: it is none of %s", s.remote.Name(), name, only))
	}
	prober, ok := s.remote.(format.Prober)
	if !ok {
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: s.remote.Name() + " cannot be asked about files"}
	}
	at := s.remote.URL()
	full := s.remote.Option("prefix") + name
	at.Path, at.RawPath = at.Path+full, at.EscapedPath()+escape(full)
	facts, err := prober.Head(ctx, at.String())
	if err != nil {
		return nil, err
	}
	if facts.URL != nil && strings.HasSuffix(facts.URL.Path, "/") {
		return nil, none(fmt.Sprintf("%s is a directory of %s", name, s.remote.Name()))
	}
	if bare(facts.Type) == "text/html" && !isHTML(name) {
		return nil, errPage(s.remote.Name(), name)
	}
	if f, ok := s.remote.(format.Fresher); ok {
		if d, said := freshness(facts.Header); said {
			f.Fresh(d)
		}
	}
	told, err := s.told(ctx, at, name)
	if err != nil {
		return nil, err
	}
	digests := with(digestsOf(facts), told)
	v := millpond.Version{Name: identity(facts, digests), Published: facts.Modified}
	f := millpond.File{Name: base(name), Size: facts.Size, Digests: digests, URL: at.String(), Published: facts.Modified, Type: facts.Type}
	if t := bare(facts.Type); t == "" || t == octets || t == "binary/octet-stream" {
		f.Type = typeOf(name)
	}
	v.Files = []millpond.File{f}
	return &millpond.Package{Name: name, Versions: []millpond.Version{v}}, nil
}

// Asks implements format.Asker: how large a file may be the option max_size says. One that is no number lets nothing in.
func (s source) Asks(millpond.Key) format.Asking {
	text := s.remote.Option("max_size")
	if text == "" {
		return format.Asking{}
	}
	n, err := strconv.ParseInt(text, 10, 40)
	if err != nil || n <= 0 {
		return format.Asking{Limit: 1}
	}
	return format.Asking{Limit: n << 20}
}

const (
	leastFresh = 10 * time.Second
	mostFresh  = 24 * time.Hour
)

// freshness is how long an upstream says that a file needs no asking, within bounds. It is not said without Cache-Control.
func freshness(head http.Header) (d time.Duration, said bool) {
	seconds := map[string]time.Duration{}
	for one := range strings.SplitSeq(strings.ToLower(strings.Join(head.Values("Cache-Control"), ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
		switch {
		case name == "no-cache" || name == "no-store":
			return leastFresh, true
		case err == nil && n >= 0 && (name == "max-age" || name == "s-maxage"):
			seconds[name] = time.Duration(n) * time.Second
		}
	}
	if d, said = seconds["s-maxage"]; !said {
		d, said = seconds["max-age"]
	}
	if n, err := strconv.ParseInt(head.Get("Age"), 10, 32); err == nil && n > 0 {
		d -= time.Duration(n) * time.Second // it is that old already
	}
	return min(max(d, leastFresh), mostFresh), said
}

func errPage(upstream, name string) error {
	return &millpond.Error{Kind: millpond.BadUpstream, Key: millpond.Key{Package: name},
		Why: fmt.Sprintf("%s answers with a page for %s, which does not ask for one", upstream, name), Hint: "is there a login before it?"}
}

// identity names a content by all that its upstream says of it, oldest first where it says when.
func identity(f *format.Facts, digests []millpond.Digest) string {
	date := "0"
	if !f.Modified.IsZero() {
		date = f.Modified.UTC().Format("20060102T150405Z")
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %d %v", f.Tag, f.Size, digests)
	return date + "-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// digestsOf are the digests that an upstream declares, strongest first. The entity tag of a bucket's object is its MD5, unless
// it was put in parts.
func digestsOf(f *format.Facts) []millpond.Digest {
	sums, err := declared(f.Header)
	if err != nil {
		return nil // what cannot be read declares nothing
	}
	tag := strings.Trim(f.Tag, `"`)
	if f.Header.Get("X-Amz-Request-Id") != "" && f.Header.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") == "" &&
		!strings.HasPrefix(f.Header.Get("X-Amz-Server-Side-Encryption"), "aws:kms") {
		if sum, err := hex.DecodeString(tag); err == nil && len(sum) == 16 {
			sums["md5"] = sum
		}
	}
	var out []millpond.Digest
	for _, name := range [...]string{"sha512", "sha256", "sha1", "md5"} {
		if d, err := millpond.NewDigest(name, sums[name]); err == nil {
			out = append(out, d)
		}
	}
	return out
}

// Sniff refuses the page of a captive portal that is called by another name.
func (s source) Sniff(k millpond.Key, head []byte) error {
	if isHTML(k.File) {
		return nil
	}
	head = bytes.TrimLeft(head, "\ufeff \t\r\n")
	for _, start := range []string{"<!doctype html", "<html", "<head", "<body"} {
		if len(head) >= len(start) && strings.EqualFold(string(head[:len(start)]), start) {
			return errPage(s.remote.Name(), k.Package)
		}
	}
	return nil
}

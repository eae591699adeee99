package rubygems

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"millpond"
	"millpond/format"
)

// getVersions answers with the log of names, or the tail of it that a client lacks.
func (h handler) getVersions(w http.ResponseWriter, r *http.Request) error {
	s, err := h.log.current(r.Context(), h.repo)
	if err != nil {
		return err
	}
	header := w.Header()
	header["Content-Type"] = []string{typeText}
	header["Cache-Control"] = []string{h.moves()}
	header["Vary"] = varyEncoding
	body, encoding := s.text, ""
	if len(r.Header["Range"]) == 0 && format.Encoding(r) == "gzip" {
		if s, body, err = s.of.packed(s); err != nil {
			return err
		}
		encoding = "gzip"
	}
	sums(header, sum{md5: s.md5, sha: s.sha})
	c := &millpond.Content{
		ReadSeekCloser: whole{bytes.NewReader(body)}, Size: int64(len(body)), Encoding: encoding, Modified: s.modified,
	}
	c.Entity = tagFor(s.md5, encoding, c)
	if r.Method == http.MethodGet && len(r.Header["Range"]) == 1 {
		return h.tail(w, r, s, c)
	}
	return format.Serve(w, r, c)
}

// tail answers a range. Bundler asks with the digest of what it has: if that is no earlier state of this text, a part of it
// is of no use, and the whole is given.
func (h handler) tail(w http.ResponseWriter, r *http.Request, s *snapshot, c *millpond.Content) error {
	condition := strings.Join(r.Header["If-None-Match"], ",")
	if condition != "" && !format.Matches(condition, c.Entity) {
		known := false
		for one := range strings.SplitSeq(condition, ",") {
			sum := strings.Trim(strings.TrimPrefix(strings.TrimSpace(one), "W/"), `"`)
			known = known || s.began(begins(r.Header.Get("Range")), sum)
		}
		if !known {
			r = r.Clone(r.Context())
			r.Header.Del("Range")
		}
	}
	return format.Serve(w, r, c)
}

// begins is where "bytes=N-" begins; 0 if it is another range.
func begins(spec string) int {
	first, rest, _ := strings.Cut(strings.TrimPrefix(spec, "bytes="), "-")
	n, err := strconv.Atoi(first)
	if err != nil || rest != "" {
		return 0
	}
	return n
}

// getNames answers with all names, sorted.
func (h handler) getNames(w http.ResponseWriter, r *http.Request) error {
	s, err := h.log.current(r.Context(), h.repo)
	if err != nil {
		return err
	}
	all := s.names(h.log.names)
	header := w.Header()
	header["Content-Type"] = []string{typeText}
	header["Cache-Control"] = []string{h.moves()}
	sums(header, all.sum)
	return format.Serve(w, r, &millpond.Content{
		ReadSeekCloser: whole{bytes.NewReader(all.text)}, Size: int64(len(all.text)), Entity: `"` + all.sum.md5 + `"`, Modified: s.modified,
	})
}

// names are those with a version to see, sorted.
func (l *log) names() []byte {
	text := []byte("---\n")
	for _, one := range l.all() {
		text = append(append(text, one.name...), '\n')
	}
	if len(text) == 4 {
		text = append(text, '\n')
	}
	return text
}

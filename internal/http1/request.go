package http1

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// parse reads a request with all of its header (RFC 9112, 3 and 5). It returns nil for one that is not plain: whatever it is,
// net/http is to judge it.
func parse(raw []byte, remote string) *http.Request {
	text, ok := strings.CutSuffix(string(raw), "\r\n\r\n")
	if !ok {
		return nil
	}
	line, fields, _ := strings.Cut(text, "\r\n")
	method, line, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(line, " ")
	if method != http.MethodGet && method != http.MethodHead || version != "HTTP/1.1" || target == "" || target == "*" {
		return nil
	}
	r := new(http.Request)
	r.Method, r.RequestURI, r.RemoteAddr = method, target, remote
	r.Proto, r.ProtoMajor, r.ProtoMinor = version, 1, 1
	r.Body = http.NoBody
	var err error
	if r.URL, err = url.ParseRequestURI(target); err != nil {
		return nil
	}
	if !readFields(r, fields) {
		return nil
	}
	if r.URL.Host != "" {
		r.Host = r.URL.Host // RFC 9112, 3.2.2
	}
	return r
}

// readFields reads the fields of a header, and reports whether they are plain.
func readFields(r *http.Request, fields string) bool {
	n := strings.Count(fields, "\r\n") + 1
	r.Header = make(http.Header, n)
	values := make([]string, 0, n) // one piece of memory for all
	hosts := 0
	for len(fields) > 0 {
		var field string
		field, fields, _ = strings.Cut(fields, "\r\n")
		name, value, ok := strings.Cut(field, ":")
		if !ok || !isToken(name) {
			return false // a continued line too
		}
		value = strings.Trim(value, " \t")
		if !isText(value) {
			return false
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		switch name {
		case "Content-Length", "Transfer-Encoding", "Trailer", "Upgrade", "Expect", "Http2-Settings":
			return false // there is more to read, or something else to speak
		case "Connection":
			switch strings.ToLower(value) {
			case "close":
				r.Close = true
			case "keep-alive":
			default:
				return false
			}
		case "Host":
			if hosts++; hosts > 1 || !isHost(value) {
				return false
			}
			r.Host = value
			continue
		}
		if all := r.Header[name]; all != nil {
			r.Header[name] = append(all, value)
			continue
		}
		values = append(values, value)
		r.Header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	if r.Header["Pragma"] != nil && r.Header["Pragma"][0] == "no-cache" && r.Header["Cache-Control"] == nil {
		r.Header["Cache-Control"] = []string{"no-cache"} // as net/http does
	}
	return hosts == 1
}

// Kinds of bytes.
const (
	token = 1 << iota // of a field's name (RFC 9110, 5.6.2)
	host              // of a Host that nobody reads in two ways
)

var kinds = func() (k [256]byte) { // never changed
	for c := range k {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			k[c] = token | host
		case strings.IndexByte("!#$%&'*+-.^_`|~", byte(c)) >= 0 && c != 0:
			k[c] = token
		}
	}
	for _, c := range "-._:[]" {
		k[c] |= host
	}
	return k
}()

// isToken reports whether a field may have this name.
func isToken(s string) bool { return s != "" && allAre(s, token) }

// isHost reports whether this is a Host without anything unusual.
func isHost(s string) bool { return s != "" && allAre(s, host) }

func allAre(s string, kind byte) bool {
	for i := range len(s) {
		if kinds[s[i]]&kind == 0 {
			return false
		}
	}
	return true
}

// isText reports whether a field may have this value: no control character but the tab.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

package maven

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"millpond"
)

const (
	typeXML  = "application/xml"
	typeText = "text/plain; charset=utf-8"
)

// typeOf is the media type of a file, by its name.
func typeOf(file string) string {
	switch suffix := file[strings.LastIndexByte(file, '.')+1:]; suffix {
	case "jar", "war", "ear", "rar", "aar", "klib":
		return "application/java-archive"
	case "pom", "xml":
		return typeXML
	case "module", "json":
		return "application/json"
	case "zip":
		return "application/zip"
	case "gz", "tgz":
		return "application/gzip"
	case "asc":
		return "application/pgp-signature"
	case "md5", "sha1", "sha256", "sha512", "txt":
		return typeText
	}
	return "application/octet-stream"
}

// looks says by the first bytes of a file what it is instead of what its name says; "" if it may be that.
func looks(file string, head []byte) string {
	if len(head) == 0 {
		switch typeOf(file) {
		case "application/octet-stream", typeText:
			return ""
		}
		return "nothing"
	}
	text := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n"))
	page := bytes.HasPrefix(text, []byte("<!doctype html")) || bytes.HasPrefix(text, []byte("<html"))
	ok := !page
	switch typeOf(file) {
	case "application/java-archive", "application/zip":
		ok = bytes.HasPrefix(head, []byte("PK"))
	case typeXML:
		// A byte order mark of UTF-16, with which some POMs of Windows begin, is let through.
		ok = !page && (len(text) > 0 && text[0] == '<' || bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")))
	case "application/json":
		ok = len(text) > 0 && (text[0] == '{' || text[0] == '[')
	case "application/gzip":
		ok = bytes.HasPrefix(head, []byte("\x1f\x8b"))
	case "application/pgp-signature":
		ok = bytes.HasPrefix(text, []byte("-----begin pgp "))
	}
	switch {
	case ok:
		return ""
	case page:
		return "a web page"
	}
	return "something else"
}

// readSum reads the text of a sum: "hex", "hex  name", "hex *name", "name = hex" or "ALGORITHM(name)= hex", in any case.
func readSum(algorithm string, text []byte) (millpond.Digest, error) {
	s := strings.TrimSpace(string(text))
	fields := strings.Fields(s)
	word := ""
	switch {
	case strings.Contains(s, "\n"):
	case len(fields) == 1:
		word = fields[0]
		if _, after, ok := strings.Cut(word, "="); ok {
			word = after
		}
	case len(fields) == 2 || len(fields) == 3 && fields[1] == "*":
		word = fields[0]
		if strings.HasSuffix(word, "=") {
			word = fields[1]
		}
	case len(fields) == 3 && fields[1] == "=":
		word = fields[2]
	}
	sum, err := hex.DecodeString(word)
	if err == nil && word != "" {
		if d, err := millpond.NewDigest(algorithm, sum); err == nil {
			return d, nil
		}
	}
	return millpond.Digest{}, fmt.Errorf("%.100q is no %s sum", s, algorithm)
}

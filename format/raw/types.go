package raw

import (
	"path"
	"strings"
)

const octets = "application/octet-stream"

// types are the media types of extensions. They are ours and not the machine's: the same everywhere.
var types = map[string]string{ // never changed
	".7z": "application/x-7z-compressed", ".aab": "application/x-authorware-bin", ".apk": typeAPK, ".avif": "image/avif", ".box": octets,
	".bz2": "application/x-bzip2", ".css": "text/css; charset=utf-8", ".csv": "text/csv; charset=utf-8", ".deb": "application/vnd.debian.binary-package",
	".dmg": "application/x-apple-diskimage", ".gif": "image/gif", ".gz": "application/gzip", ".htm": "text/html; charset=utf-8",
	".html": "text/html; charset=utf-8", ".ipa": octets, ".iso": "application/x-iso9660-image", ".jar": "application/java-archive",
	".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".js": "text/javascript; charset=utf-8", ".json": "application/json",
	".jsonl": "application/jsonl", ".log": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".mp3": "audio/mpeg", ".mp4": "video/mp4", ".pdf": "application/pdf", ".plist": "application/xml", ".png": "image/png",
	".pom": "application/xml", ".rpm": "application/x-rpm", ".sh": "application/x-sh", ".svg": "image/svg+xml", ".tar": "application/x-tar",
	".tgz": "application/gzip", ".toml": "application/toml", ".txt": "text/plain; charset=utf-8", ".wasm": "application/wasm",
	".webm": "video/webm", ".webp": "image/webp", ".whl": "application/zip", ".xhtml": "application/xhtml+xml", ".xml": "application/xml",
	".xz": "application/x-xz", ".yaml": "application/yaml", ".yml": "application/yaml", ".zip": "application/zip", ".zst": "application/zstd",
}

// typeOf is the media type of a path that says nothing but its name.
func typeOf(name string) string {
	if t, ok := types[strings.ToLower(path.Ext(name))]; ok {
		return t
	}
	return octets
}

// bare is a media type without its parameters, in lower case.
func bare(mediaType string) string {
	t, _, _ := strings.Cut(mediaType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// runs reports whether a browser could run something in a document of that type. Of what is not one plain type browsers make each
// their own: "image/png, text/html" is a page to some.
func runs(mediaType string) bool {
	if mediaType == "" {
		return false
	}
	t := bare(mediaType)
	whole, part, ok := strings.Cut(t, "/")
	if !ok || !isToken(whole) || !isToken(part) || strings.IndexByte(mediaType, ',') >= 0 {
		return true
	}
	switch t {
	case "text/html", "application/pdf", "text/xml", "application/xml", "text/xsl", "application/javascript", "text/javascript", "message/rfc822":
		return true
	}
	return whole == "multipart" || strings.HasSuffix(part, "+xml")
}

// isToken reports whether s is a word as in the fields of a header.
func isToken(s string) bool {
	for i := range len(s) {
		if !isPlain(s[i], "!#$%&'*+-.^_`|~") {
			return false
		}
	}
	return s != ""
}

// isHTML reports whether a path asks for a page.
func isHTML(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".html", ".htm", ".xhtml":
		return true
	}
	return false
}

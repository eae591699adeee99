package npm

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"millpond"
)

// nameFiles gives each version's file its name: the last element of its address where that is a name for one version
// alone, else the usual one.
func nameFiles(name string, versions []millpond.Version) {
	usual := make(map[string]int, len(versions)) // whose usual name a name is
	tails := make(map[string]int, len(versions)) // how many addresses end so
	tail := make([]string, len(versions))
	for i := range versions {
		v := &versions[i]
		usual[standardFile(name, v.Name)] = i
		if len(v.Files) == 0 {
			continue
		}
		tail[i] = lastElement(v.Files[0].URL)
		tails[tail[i]]++
	}
	for i := range versions {
		v := &versions[i]
		if len(v.Files) == 0 {
			continue
		}
		owner, taken := usual[tail[i]]
		if tail[i] == "" || tails[tail[i]] > 1 || taken && owner != i {
			v.Files[0].Name = standardFile(name, v.Name)
		} else {
			v.Files[0].Name = tail[i]
		}
	}
}

// lastElement is the name of a tgz at the end of an address; "" if the address does not end in one.
func lastElement(address string) string {
	last := address[strings.LastIndexByte(address, '/')+1:]
	if !plainAddress(address) {
		u, err := url.Parse(address)
		if err != nil {
			return ""
		}
		path := u.EscapedPath()
		if last, err = url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:]); err != nil {
			return ""
		}
	}
	if !strings.HasSuffix(last, ".tgz") || last == ".tgz" || !plainFile(last) {
		return ""
	}
	return last
}

// standardFile is the usual name of a version's file.
func standardFile(name, version string) string {
	if _, base, scoped := strings.Cut(name, "/"); scoped {
		name = base
	}
	return name + "-" + version + ".tgz"
}

// versionOf is the version whose standard file has that name; "" if none could.
func versionOf(name, file string) string {
	if _, base, scoped := strings.Cut(name, "/"); scoped {
		name = base
	}
	version, ok := strings.CutPrefix(file, name+"-")
	if !ok {
		return ""
	}
	if version, ok = strings.CutSuffix(version, ".tgz"); !ok {
		return ""
	}
	return version
}

// plainFile reports whether a name can be one element of a path.
func plainFile(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 512 || !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f || c == '/' || c == '\\' {
			return false
		}
	}
	return true
}

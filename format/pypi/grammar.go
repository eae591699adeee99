package pypi

import "strings"

// Canon returns the canonical spelling of a project name: lower case, every run of "-", "_" and "." one "-". Invalid if it
// holds anything but ASCII letters, digits and those three, or does not begin and end with a letter or digit.
func (Format) Canon(name string) (string, error) {
	if canon, ok := canonName(name); ok {
		return canon, nil
	}
	return "", invalid("%.80q is no project name: only ASCII letters, digits, '-', '_' and '.' can be in one", name)
}

// Compare orders versions as PEP 440 does; what it cannot read is below everything that it can.
func (Format) Compare(a, b string) int { return compareVersions(a, b) }

// Match reports whether a version satisfies a PEP 440 specifier set. Prereleases count as in range. Invalid if the set
// cannot be read, or the version is Unknown.
func (Format) Match(spec, version string) (bool, error) { return match(spec, version) }

// longestName bounds names: nothing longer was ever published, and nothing longer is asked upstream.
const longestName = 200

// canonName is Canon. It returns name itself where that is canonical already, which it nearly always is.
func canonName(name string) (string, bool) {
	if name == "" || len(name) > longestName || !isAlnum(name[0]) || !isAlnum(name[len(name)-1]) {
		return "", false
	}
	canonical := true
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', isDigit(c):
		case c == '-':
			canonical = canonical && name[i-1] != '-'
		case c == '_', c == '.', 'A' <= c && c <= 'Z':
			canonical = false
		default:
			return "", false
		}
	}
	if canonical {
		return name, true
	}
	var b strings.Builder
	b.Grow(len(name))
	for i := range len(name) {
		c := name[i]
		switch {
		case isSeparator(c):
			if !isSeparator(name[i-1]) {
				b.WriteByte('-')
			}
		case 'A' <= c && c <= 'Z':
			b.WriteByte(c + 'a' - 'A')
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

// A fileName is what the name of a distribution says of it.
type fileName struct {
	Version  string // normal form; Unknown if it cannot be read
	Platform string // of a wheel or an installer; "" if it suits all
	Wheel    bool
}

// sourceEnds are the endings of files that are archives of anything: sdists, and the dumb binaries of old.
var sourceEnds = [...]string{".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tar.Z", ".tar.zst", ".tar"} // never changed

// binaryEnds are those of installers, and of what else was once published.
var binaryEnds = [...]string{".egg", ".exe", ".msi", ".rpm", ".deb", ".dmg"} // never changed

// splitEnd cuts a known ending off.
func splitEnd(name string) (stem, end string) {
	for _, ends := range [...][]string{{".whl"}, sourceEnds[:], binaryEnds[:]} {
		for _, end := range ends {
			if len(name) > len(end) && strings.EqualFold(name[len(name)-len(end):], end) {
				return name[:len(name)-len(end)], end
			}
		}
	}
	return name, ""
}

// readName reads the name of a file that the page of a project lists. It reports false if the file is another project's:
// "x-docs-1.0.tar.gz" is none of x's. "a-1-2.0.tar.gz" could be of a and of a-1, and is of whoever lists it.
func readName(name, project string) (fileName, bool) {
	stem, end := splitEnd(name)
	rest, sep, ok := cutProject(stem, project)
	if !ok {
		return fileName{}, false
	}
	f := fileName{Version: rest}
	switch {
	case end == "":
		f.Version = ""
	case sep != '-' && end != ".deb":
		for _, part := range strings.Split(rest, "-")[1:] {
			if part != "" && isDigit(part[0]) {
				return fileName{}, false // "x.docs-1.0"
			}
		}
		f.Version = ""
	case end == ".whl":
		f.Wheel = true
		parts := strings.Split(rest, "-") // version (build)? python abi platform
		if n := len(parts); n >= 4 {
			f.Version = parts[0]
			if f.Platform = parts[n-1]; f.Platform == "any" {
				f.Platform = ""
			}
		}
	case end == ".egg":
		f.Version, f.Platform = cutEgg(rest)
	case end == ".rpm", end == ".deb": // 1.0-1.noarch, 1.0-1_all
		if i := strings.LastIndexByte(rest, '-'); i > 0 {
			f.Version, f.Platform = rest[:i], rest[i+1:]
		}
	default:
		f.Version, f.Platform = cutPlatform(rest)
	}
	if v, ok := parseVersion(f.Version); ok {
		f.Version = v.String()
		return f, true
	}
	if f.Version != "" && isDigit(f.Version[0]) {
		return f, true // "2004d": opaque, but a version
	}
	if i := strings.LastIndexByte(f.Version, '-'); i >= 0 {
		if _, ok := parseVersion(f.Version[i+1:]); ok {
			return fileName{}, false // "docs-1.0": the rest of a longer name, and its version
		}
	}
	f.Version = Unknown
	return f, true
}

// cutProject cuts a project's name, in any spelling, and the separator behind it from the left. Both results are empty if
// there is nothing else.
func cutProject(stem, project string) (rest string, sep byte, ok bool) {
	i := 0
	for j := range len(project) {
		if i >= len(stem) {
			return "", 0, false
		}
		if project[j] == '-' {
			start := i
			for i < len(stem) && isSeparator(stem[i]) {
				i++
			}
			if i == start {
				return "", 0, false
			}
			continue
		}
		c := stem[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != project[j] {
			return "", 0, false
		}
		i++
	}
	switch {
	case i == len(stem):
		return "", 0, true
	case isSeparator(stem[i]):
		return stem[i+1:], stem[i], true
	}
	return "", 0, false
}

// cutEgg reads "1.0-py2.7-win32".
func cutEgg(rest string) (version, platform string) {
	version, tail, ok := strings.Cut(rest, "-py")
	if !ok {
		return rest, ""
	}
	_, platform, _ = strings.Cut(tail, "-")
	return version, platform
}

// platforms begin what distutils put behind the version of an installer or a dumb binary.
var platforms = [...]string{".win", ".linux", ".macosx", ".darwin", ".cygwin", ".freebsd", ".solaris", ".sunos", ".aix"} // never changed

// cutPlatform reads "1.0.win32-py2.7" and "1.0.linux-x86_64".
func cutPlatform(rest string) (version, platform string) {
	for _, p := range platforms {
		if i := strings.Index(rest, p); i > 0 {
			platform, _, _ = strings.Cut(rest[i+1:], "-py")
			return rest[:i], platform
		}
	}
	return rest, ""
}

// owners are the projects that a file name could belong to, best guess first: of an sdist's name only the page that lists
// it knows where the project ends.
func owners(name string) []string {
	stem, end := splitEnd(name)
	switch end {
	case "":
		return nil
	case ".whl": // names in a wheel's name hold no "-"
		project, _, _ := strings.Cut(stem, "-")
		if canon, ok := canonName(project); ok {
			return []string{canon}
		}
		return nil
	}
	var found []string
	for i := len(stem) - 1; i > 0 && len(found) < mostOwners; i-- {
		if separator := stem[i]; end == ".deb" && separator != '_' || end != ".deb" && separator != '-' {
			continue
		}
		canon, ok := canonName(stem[:i])
		if !ok || len(found) > 0 && found[len(found)-1] == canon {
			continue
		}
		if f, ok := readName(name, canon); ok && f.Version != Unknown {
			found = append(found, canon)
		}
	}
	return found
}

// mostOwners bounds how many pages are asked for one file name.
const mostOwners = 4

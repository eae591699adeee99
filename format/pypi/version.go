package pypi

import (
	"cmp"
	"strings"
)

// Unknown is the version of files whose version cannot be read. It sorts below every other.
const Unknown = "?"

// A version is a parsed PEP 440 version. Its numbers are digits without leading zeros, kept as text because they have no
// bound; all its text is lower case.
type version struct {
	epoch   string
	release string // "1.2.3", as it was written but for leading zeros
	pre     string // "a", "b", "rc"; "" for a final release
	preN    string
	post    string // a number; "" for none
	dev     string // a number; "" for none
	local   string // "ubuntu.1"; "" for none
}

// parseVersion reads any spelling that PEP 440 allows, and reports false for all else.
func parseVersion(s string) (version, bool) {
	p := scanner{strings.ToLower(strings.TrimSpace(s))}
	p.word("v")
	v := version{epoch: "0"}
	release, ok := p.release()
	if ok && !strings.Contains(release, ".") && p.word("!") {
		v.epoch = release
		release, ok = p.release()
	}
	if !ok {
		return version{}, false
	}
	v.release = release
	rest := p.s
	p.separator()
	switch {
	case p.word("alpha"), p.word("a"):
		v.pre = "a"
	case p.word("beta"), p.word("b"):
		v.pre = "b"
	case p.word("preview"), p.word("pre"), p.word("rc"), p.word("c"):
		v.pre = "rc"
	default:
		p.s = rest
	}
	if v.pre != "" {
		v.preN = p.suffix()
	}
	if len(p.s) > 1 && p.s[0] == '-' && isDigit(p.s[1]) {
		p.s = p.s[1:]
		v.post, _ = p.number()
	} else {
		rest = p.s
		p.separator()
		if p.word("post") || p.word("rev") || p.word("r") {
			v.post = p.suffix()
		} else {
			p.s = rest
		}
	}
	rest = p.s
	p.separator()
	if p.word("dev") {
		v.dev = p.suffix()
	} else {
		p.s = rest
	}
	if p.word("+") {
		if v.local, ok = p.local(); !ok {
			return version{}, false
		}
	}
	return v, p.s == ""
}

// A scanner eats a version from the left.
type scanner struct{ s string }

func (p *scanner) word(w string) bool {
	rest, ok := strings.CutPrefix(p.s, w)
	if ok {
		p.s = rest
	}
	return ok
}

func (p *scanner) separator() {
	if p.s != "" && isSeparator(p.s[0]) {
		p.s = p.s[1:]
	}
}

// number eats digits and returns them without leading zeros.
func (p *scanner) number() (string, bool) {
	n := 0
	for n < len(p.s) && isDigit(p.s[n]) {
		n++
	}
	digits := p.s[:n]
	p.s = p.s[n:]
	return trimZeros(digits), n > 0
}

// release eats dotted numbers and returns them without leading zeros.
func (p *scanner) release() (string, bool) {
	n, zeros := 0, false
	for n < len(p.s) && isDigit(p.s[n]) {
		start := n
		for n < len(p.s) && isDigit(p.s[n]) {
			n++
		}
		zeros = zeros || p.s[start] == '0' && n > start+1
		if n+1 < len(p.s) && p.s[n] == '.' && isDigit(p.s[n+1]) {
			n++
			continue
		}
		break
	}
	release := p.s[:n]
	p.s = p.s[n:]
	if zeros {
		parts := strings.Split(release, ".")
		for i := range parts {
			parts[i] = trimZeros(parts[i])
		}
		release = strings.Join(parts, ".")
	}
	return release, n > 0
}

// suffix eats the optional number behind "rc", "post" or "dev", which is 0 if it is not there.
func (p *scanner) suffix() string {
	p.separator()
	if n, ok := p.number(); ok {
		return n
	}
	return "0"
}

// local eats the rest as a local version: alphanumeric parts between separators, which become dots.
func (p *scanner) local() (string, bool) {
	var b strings.Builder
	for {
		n := 0
		for n < len(p.s) && isAlnum(p.s[n]) {
			n++
		}
		if n == 0 {
			return "", false
		}
		part := p.s[:n]
		if isNumber(part) {
			part = trimZeros(part)
		}
		b.WriteString(part)
		p.s = p.s[n:]
		if p.s == "" {
			return b.String(), true
		}
		if !isSeparator(p.s[0]) {
			return "", false
		}
		p.s = p.s[1:]
		b.WriteByte('.')
	}
}

// String is the normal form of PEP 440, with as many zeros at the end of the release as were written.
func (v version) String() string {
	var b strings.Builder
	if v.epoch != "0" {
		b.WriteString(v.epoch + "!")
	}
	b.WriteString(v.release)
	if v.pre != "" {
		b.WriteString(v.pre + v.preN)
	}
	if v.post != "" {
		b.WriteString(".post" + v.post)
	}
	if v.dev != "" {
		b.WriteString(".dev" + v.dev)
	}
	if v.local != "" {
		b.WriteString("+" + v.local)
	}
	return b.String()
}

// prerelease reports whether resolvers leave the version out unless they are asked for it.
func (v version) prerelease() bool { return v.pre != "" || v.dev != "" }

// public is the version without its local part.
func (v version) public() version {
	v.local = ""
	return v
}

// compare orders versions as PEP 440 does.
func (v version) compare(w version) int {
	return cmp.Or(
		compareNumbers(v.epoch, w.epoch),
		compareReleases(v.release, w.release),
		cmp.Compare(v.phase(), w.phase()),
		compareNumbers(v.preN, w.preN),
		compareNumbers(v.post, w.post), // "" is below every number
		compareDev(v.dev, w.dev),
		compareLocals(v.local, w.local),
	)
}

// phase orders what follows the release: a dev release of the release itself comes first, then a, b, rc, then the release
// and what is later than it.
func (v version) phase() int {
	switch {
	case v.pre == "a":
		return 1
	case v.pre == "b":
		return 2
	case v.pre == "rc":
		return 3
	case v.dev != "" && v.post == "":
		return 0
	}
	return 4
}

// compareDev puts a dev release before what it is a development of.
func compareDev(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return 1
	case b == "":
		return -1
	}
	return compareNumbers(a, b)
}

// compareReleases compares dotted numbers; the shorter is filled up with zeros.
func compareReleases(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareNumbers(cmp.Or(x, "0"), cmp.Or(y, "0")); c != 0 {
			return c
		}
	}
	return 0
}

// compareLocals: none is lowest, numbers are above words, more parts are above fewer.
func compareLocals(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		var c int
		switch nx, ny := isNumber(x), isNumber(y); {
		case nx && ny:
			c = compareNumbers(x, y)
		case nx:
			c = 1
		case ny:
			c = -1
		default:
			c = strings.Compare(x, y)
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// compareNumbers compares digits without leading zeros, of any length; "" is below "0".
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

func trimZeros(digits string) string {
	for len(digits) > 1 && digits[0] == '0' {
		digits = digits[1:]
	}
	return digits
}

func isNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool     { return '0' <= c && c <= '9' }
func isSeparator(c byte) bool { return c == '-' || c == '_' || c == '.' }
func isAlnum(c byte) bool     { return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// normalVersion is the form under which a version is recorded: PEP 440's normal form, or the text as it is if PEP 440
// cannot read it.
func normalVersion(s string) string {
	if v, ok := parseVersion(s); ok {
		return v.String()
	}
	return s
}

// compareVersions orders versions as they are recorded: what PEP 440 cannot read is below everything it can, and equals
// only itself.
func compareVersions(a, b string) int {
	if a == b {
		return 0
	}
	v, okV := parseVersion(a)
	w, okW := parseVersion(b)
	switch {
	case okV && okW:
		return v.compare(w)
	case okV:
		return 1
	case okW:
		return -1
	case a == Unknown:
		return -1
	case b == Unknown:
		return 1
	}
	return strings.Compare(a, b)
}

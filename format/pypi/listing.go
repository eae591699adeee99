package pypi

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// A listing gathers the records of one project while its page is read.
type listing struct {
	project  string   // canonical
	base     *url.URL // what the page's relative URLs are relative to
	upstream string   // host name of the configured address
	meta     packageMeta
	versions []millpond.Version
	named    []time.Time         // of each version: when the file was uploaded whose spelling it bears
	at       map[string]int      // version → index in versions
	seen     map[string]struct{} // file names
	metas    map[string]json.RawMessage
	hosts    map[string]bool   // verdicts on host names
	usual    int               // how many files the last version has
	places   map[string]string // what URLs begin with, up to the last slash, and what that is when it is resolved
}

// packageMeta is the record of a project as a whole.
type packageMeta struct {
	Display string `json:"display,omitempty"` // the name as its owner spells it, if that is not canonical
	Status  string `json:"status,omitempty"`  // archived, deprecated, quarantined; "" is active
	Reason  string `json:"reason,omitempty"`  // of the status
	Serial  int64  `json:"serial,omitempty"`  // of the page; 0 where the upstream numbers nothing
}

// readParts is what the layers say of a project together: status of the first layer that has one, highest serial.
func readParts(parts []millpond.Part) packageMeta {
	var all packageMeta
	for _, part := range parts {
		var m packageMeta
		if json.Unmarshal(part.Meta, &m) != nil {
			continue // a part without a record
		}
		if all.Display == "" {
			all.Display = m.Display
		}
		if all.Status == "" {
			all.Status, all.Reason = m.Status, m.Reason
		}
		all.Serial = max(all.Serial, m.Serial)
	}
	return all
}

// partSerials are the serials of a project's parts, by layer.
func partSerials(parts []millpond.Part) map[string]int64 {
	all := map[string]int64{}
	for i := range parts {
		if n := readParts(parts[i : i+1]).Serial; n > 0 {
			all[parts[i].Layer] = max(all[parts[i].Layer], n)
		}
	}
	return all
}

func newListing(project string, upstream *url.URL, doc *format.Document) *listing {
	l := &listing{
		project:  project,
		base:     doc.URL,
		upstream: upstream.Hostname(),
		at:       map[string]int{},
		seen:     map[string]struct{}{},
		metas:    map[string]json.RawMessage{},
		hosts:    map[string]bool{},
		places:   map[string]string{},
	}
	if l.base == nil {
		l.base = upstream.JoinPath(project + "/")
	}
	l.meta.Serial, _ = strconv.ParseInt(doc.Header.Get(serialHeader), 10, 64)
	return l
}

// A listed is one file as a page has it.
type listed struct {
	name, url string
	digests   []millpond.Digest
	size      int64 // -1 if not said
	uploaded  time.Time
	yanked    bool
	why       string
	core      bool              // the page promises core metadata
	coreSums  []millpond.Digest // and these digests of it
	signed    bool              // there is a detached signature
	attested  string            // URL of the provenance; "" if there is none
	meta      []byte            // members for the file's record: `"requires-python":">=3"`, comma separated
}

// add takes a file into the records. Files of other projects, with names that can be none, and at addresses that no page
// has business with, are left out.
func (l *listing) add(f *listed) {
	if _, side := cutSide(f.name); side != "" || !cleanName(f.name) {
		return
	}
	name, ok := readName(f.name, l.project)
	if !ok {
		return
	}
	if _, twice := l.seen[f.name]; twice {
		return
	}
	address, ok := l.resolve(f.url)
	if !ok {
		return
	}
	var described, at string  // name and address of the file that describes this one
	if f.core && name.Wheel { // one text for all four: more than half of what a large page takes
		at = beside(address, Metadata)
		if strings.HasPrefix(at, address) {
			address = at[:len(address)]
		}
		if described = f.name + Metadata; strings.HasSuffix(at, described) {
			described = at[len(at)-len(described):]
		}
		f.name = described[:len(f.name)]
	}
	l.seen[f.name] = struct{}{}
	if f.attested != "" {
		if provenance, ok := l.resolve(f.attested); ok {
			f.member("provenance", quote(provenance))
		}
	}
	millpond.SortDigests(f.digests)
	file := millpond.File{
		Name: f.name, Platform: name.Platform, Size: f.size, Digests: f.digests, URL: address,
		Published: f.uploaded, Yanked: f.yanked, YankedWhy: f.why, Meta: l.share(f.meta),
	}
	v := l.version(name.Version, f.uploaded)
	if v.Files == nil {
		v.Files = make([]millpond.File, 0, l.usual)
	}
	v.Files = append(v.Files, file)
	if described != "" {
		v.Files = append(v.Files, side(&file, described, at, f.coreSums))
	}
	if f.signed {
		v.Files = append(v.Files, side(&file, f.name+Signature, beside(address, Signature), nil))
	}
}

// beside is the address of the document with that ending beside a file.
func beside(address, end string) string {
	if path, query, ok := strings.Cut(address, "?"); ok {
		return path + end + "?" + query
	}
	return address + end
}

// side is the record of a document beside a file: judged by the same dates, with bytes of its own.
func side(f *millpond.File, name, address string, digests []millpond.Digest) millpond.File {
	millpond.SortDigests(digests)
	return millpond.File{
		Name: name, Of: f.Name, Platform: f.Platform, Size: -1, Digests: digests, URL: address,
		Published: f.Published, Yanked: f.Yanked, YankedWhy: f.YankedWhy,
	}
}

// version returns the version of that name. `1.0` and `1.0.0` are one, called as its oldest file has it: so a later file
// does not give it another name.
func (l *listing) version(name string, uploaded time.Time) *millpond.Version {
	i, ok := l.at[name]
	if !ok {
		key := name
		v, valid := parseVersion(name)
		if valid {
			key = v.key()
		}
		if i, ok = l.at[key]; !ok {
			if i = len(l.versions); i > 0 {
				l.usual = min(len(l.versions[i-1].Files), 64)
			}
			l.versions = append(l.versions, millpond.Version{Name: name, Prerelease: valid && v.prerelease()})
			l.named = append(l.named, uploaded)
			l.at[key] = i
		}
		l.at[name] = i
	}
	v := &l.versions[i]
	if !uploaded.IsZero() && uploaded.Before(l.named[i]) {
		v.Name, l.named[i] = name, uploaded
	}
	return v
}

// key is the same text for versions that compare as equal.
func (v version) key() string {
	for strings.HasSuffix(v.release, ".0") {
		v.release = v.release[:len(v.release)-2]
	}
	return v.String()
}

// share returns one copy of equal records: most files of a project have the same.
func (l *listing) share(members []byte) json.RawMessage {
	if len(members) == 0 {
		return nil
	}
	if meta, ok := l.metas[string(members)]; ok {
		return meta
	}
	meta := make(json.RawMessage, 0, len(members)+2)
	meta = append(append(append(meta, '{'), members...), '}')
	l.metas[string(members)] = meta
	return meta
}

// resolve makes a page's URL absolute, and reports false if nothing may be fetched from there: only http and https, and no
// address of this machine or its link unless the upstream is configured there. Credentials and fragments are dropped.
func (l *listing) resolve(ref string) (string, bool) {
	cut := strings.LastIndexByte(ref, '/') + 1
	if !isPlain(ref) || ref[cut:] == "" || ref[cut:] == "." || ref[cut:] == ".." {
		return l.resolveAny(ref)
	}
	// Files lie beside each other, or at least on one host: what they have in common is judged once.
	if place, ok := l.places[ref[:cut]]; ok {
		return place + ref[cut:], true
	}
	if at := strings.Index(ref, "://"); at > 0 {
		if slash := strings.IndexByte(ref[at+3:], '/'); slash > 0 && l.places[ref[:at+4+slash]] == ref[:at+4+slash] {
			return ref, true
		}
	}
	address, ok := l.resolveAny(ref)
	if ok && len(l.places) < 100 && strings.HasSuffix(address, "/"+ref[cut:]) {
		l.places[ref[:cut]] = address[:len(address)-len(ref[cut:])]
		if at := strings.Index(ref, "://"); at > 0 && address == ref {
			origin := ref[:at+4+strings.IndexByte(ref[at+3:], '/')]
			l.places[origin] = origin
		}
	}
	return address, ok
}

// isPlain reports whether a URL is made of nothing that has a meaning in URLs, but for slashes and the colons of a scheme and
// a port.
func isPlain(ref string) bool {
	for i := range len(ref) {
		switch c := ref[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-', c == '/', c == ':':
		default:
			return false
		}
	}
	return true
}

// resolveAny is resolve, without a memory.
func (l *listing) resolveAny(ref string) (string, bool) {
	u, err := url.Parse(strings.TrimSpace(ref))
	if err != nil || ref == "" || u.Opaque != "" {
		return "", false
	}
	if u.Scheme == "" || u.Host == "" {
		if u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
			return "", false
		}
		u = l.base.ResolveReference(u)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", false
	}
	host := u.Hostname()
	ok, known := l.hosts[host]
	if !known {
		ok = strings.EqualFold(host, l.upstream) || publicHost(host)
		l.hosts[host] = ok
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	return u.String(), ok
}

// publicHost reports whether a name in a URL may be asked at all. What names resolve to is judged when they are dialled.
func publicHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return false
	}
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap()
		return !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsUnspecified() && !a.IsMulticast()
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return !isNumber(last) && !strings.HasPrefix(last, "0x") // "127.1" and "0x7f000001" are addresses to some resolvers
}

// finish is the package, its versions newest first.
func (l *listing) finish(layer string, document millpond.Digest) *millpond.Package {
	p := &millpond.Package{Name: l.project, Versions: l.versions}
	if l.meta.Status == quarantined {
		p.Blocked = l.project + " is quarantined by upstream " + layer
		if l.meta.Reason != "" {
			p.Blocked += ": " + l.meta.Reason
		}
	}
	meta, _ := json.Marshal(l.meta) // a struct of strings and a number
	p.Parts = []millpond.Part{{Layer: layer, Document: document, Meta: meta}}
	for i := range p.Versions {
		summarise(&p.Versions[i])
	}
	slices.SortStableFunc(p.Versions, func(a, b millpond.Version) int { return compareVersions(b.Name, a.Name) })
	return p
}

// summarise says of a version what its files say: published with the first of them, yanked if all of them are.
func summarise(v *millpond.Version) {
	v.Yanked = len(v.Files) > 0
	for i := range v.Files {
		f := &v.Files[i]
		if !f.Published.IsZero() && (v.Published.IsZero() || f.Published.Before(v.Published)) {
			v.Published = f.Published
		}
		v.Yanked = v.Yanked && f.Yanked
		if v.YankedWhy == "" {
			v.YankedWhy = f.YankedWhy
		}
	}
	if !v.Yanked {
		v.YankedWhy = ""
	}
}

// findVersion is the index of the version that compares as equal, or -1.
func findVersion(versions []millpond.Version, name string) int {
	for i := range versions {
		if versions[i].Name == name {
			return i
		}
	}
	return slices.IndexFunc(versions, func(v millpond.Version) bool { return compareVersions(v.Name, name) == 0 })
}

// findFile finds a file in a view by its name, looking first where the name says it is.
func findFile(p *millpond.Package, name string) (*millpond.Version, *millpond.File) {
	file, _ := cutSide(name)
	if read, ok := readName(file, p.Name); ok {
		if v := p.Version(read.Version); v != nil {
			if f := v.File(name); f != nil {
				return v, f
			}
		}
	}
	for i := range p.Versions {
		if f := p.Versions[i].File(name); f != nil {
			return &p.Versions[i], f
		}
	}
	return nil, nil
}

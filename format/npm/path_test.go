package npm

import (
	"net/url"
	"strings"
	"testing"

	"millpond"
)

func TestParseReadsEverySpelling(t *testing.T) {
	for escaped, want := range map[string]Path{
		"/left-pad":                                       {Kind: Packument, Package: "left-pad"},
		"/@acme/x":                                        {Kind: Packument, Package: "@acme/x"},
		"/@acme%2fx":                                      {Kind: Packument, Package: "@acme/x"},
		"/@acme%2Fx":                                      {Kind: Packument, Package: "@acme/x"},
		"/%40acme%2fx":                                    {Kind: Packument, Package: "@acme/x"},
		"/%40acme/x":                                      {Kind: Packument, Package: "@acme/x"},
		"/JSONStream":                                     {Kind: Packument, Package: "JSONStream"},
		"/-":                                              {Kind: Packument, Package: "-"},
		"/-/-/--0.0.1.tgz":                                {Kind: Tarball, Package: "-", File: "--0.0.1.tgz"},
		"/left-pad/1.3.0":                                 {Kind: Manifest, Package: "left-pad", Spec: "1.3.0"},
		"/left-pad/latest":                                {Kind: Manifest, Package: "left-pad", Spec: "latest"},
		"/left-pad/%5E1.0.0%20%7C%7C%202.x":               {Kind: Manifest, Package: "left-pad", Spec: "^1.0.0 || 2.x"},
		"/@acme/x/1.0.0":                                  {Kind: Manifest, Package: "@acme/x", Spec: "1.0.0"},
		"/@acme%2fx/1.0.0":                                {Kind: Manifest, Package: "@acme/x", Spec: "1.0.0"},
		"/left-pad/-/left-pad-1.3.0.tgz":                  {Kind: Tarball, Package: "left-pad", File: "left-pad-1.3.0.tgz"},
		"/@acme/x/-/x-1.0.0.tgz":                          {Kind: Tarball, Package: "@acme/x", File: "x-1.0.0.tgz"},
		"/@acme%2fx/-/x-1.0.0.tgz":                        {Kind: Tarball, Package: "@acme/x", File: "x-1.0.0.tgz"},
		"/@acme/x/-/@acme/x-1.0.0.tgz":                    {Kind: Tarball, Package: "@acme/x", File: "x-1.0.0.tgz"},
		"/@acme/x/-/@acme%2fx-1.0.0.tgz":                  {Kind: Tarball, Package: "@acme/x", File: "x-1.0.0.tgz"},
		"/left-pad/-/package.json":                        {Kind: Tarball, Package: "left-pad", File: "package.json"},
		"/left-pad/-rev/3-abc":                            {Kind: Revision, Package: "left-pad", Rev: "3-abc"},
		"/@acme%2fx/-/x-1.0.0.tgz/-rev/3-abc":             {Kind: FileRevision, Package: "@acme/x", File: "x-1.0.0.tgz", Rev: "3-abc"},
		"/-/package/left-pad/dist-tags":                   {Kind: Tags, Package: "left-pad"},
		"/-/package/@acme%2fx/dist-tags":                  {Kind: Tags, Package: "@acme/x"},
		"/-/package/@acme/x/dist-tags/beta":               {Kind: Tag, Package: "@acme/x", Tag: "beta"},
		"/-/user/org.couchdb.user:me":                     {Kind: Login, Name: "me"},
		"/-/user/org.couchdb.user:me/-rev/1-a":            {Kind: Login, Name: "me", Rev: "1-a"},
		"/-/user/token/abc":                               {Kind: Logout, Name: "abc"},
		"/-/v1/login":                                     {Kind: WebLogin},
		"/-/whoami":                                       {Kind: WhoAmI},
		"/-/npm/v1/tokens":                                {Kind: Tokens},
		"/-/npm/v1/user":                                  {Kind: Profile},
		"/-/v1/search":                                    {Kind: Search},
		"/-/npm/v1/security/advisories/bulk":              {Kind: Bulk},
		"/-/npm/v1/security/audits":                       {Kind: Audit},
		"/-/npm/v1/security/audits/quick":                 {Kind: QuickAudit},
		"/-/npm/v1/keys":                                  {Kind: Keys},
		"/-/npm/v1/attestations/left-pad@1.3.0":           {Kind: Attestations, Package: "left-pad", Spec: "1.3.0"},
		"/-/npm/v1/attestations/@acme%2fx@1.0.0":          {Kind: Attestations, Package: "@acme/x", Spec: "1.0.0"},
		"/-/npm/v1/attestations/@acme/x@1.0.0":            {Kind: Attestations, Package: "@acme/x", Spec: "1.0.0"},
		"/-/ping":                                         {Kind: Ping},
		"/-/all":                                          {Kind: Unknown},
		"/-/stage/package/x":                              {Kind: Unknown},
		"/-/package/x/trust":                              {Kind: Unknown},
		"/-/package/x/collaborators":                      {Kind: Access, Package: "x", Name: "collaborators"},
		"/-/package/@acme%2fx/visibility":                 {Kind: Access, Package: "@acme/x", Name: "visibility"},
		"/-/v1/done/t1":                                   {Kind: WebDone, Name: "t1"},
		"/-/npm/v1/tokens/token/k1":                       {Kind: TokenByKey, Name: "k1"},
		"/-/npm/v1/oidc/token/exchange/package/@acme%2fx": {Kind: Exchange, Package: "@acme/x"},
		"/-/user/me/package":                              {Kind: Member, Name: "user/me/package"},
		"/-/org/acme/package":                             {Kind: Member, Name: "org/acme/package"},
		"/-/npm/v1/hooks":                                 {Kind: Unknown},
		"/-/x":                                            {Kind: Unknown},
	} {
		got, err := Parse(escaped)
		if err != nil || got != want {
			t.Errorf("Parse(%q): got %+v, %v; want %+v", escaped, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, escaped := range []string{
		"", "/", "//", "/left-pad/", "//left-pad", "/left-pad//1.0.0", "/.", "/..", "/%2e%2e", "/%2e", "/left-pad/..",
		"/left-pad/-/..", "/left-pad/-/%2e%2e", "/left-pad/-/..%2fx", "/left-pad/-/%2f..", "/left-pad/-/a%2fb.tgz",
		"/left-pad/-/x%5c..%5cy", "/left-pad/-/x%00.tgz", "/left%00pad", "/a%2fb", "/@acme", "/@acme/", "/@acme%2f",
		"/@acme%2f..", "/@acme%2f%2e%2e", "/@..%2fx", "/@acme%2fx%2fy", "/@acme%252fx", "/%", "/%zz", "/.x", "/_x", "/__proto__",
		"/node_modules", "/favicon.ico", "/left-pad/-", "/left-pad/-rev", "/left-pad/-/x.tgz/y", "/a/b/c/d/e/f/g/h/i",
		"/left-pad/-/@acme/x.tgz", "/@acme/x/-/@other/x.tgz", "/@acme/x/-/@other%2fx.tgz", "/-/package/../dist-tags",
		"/-/npm/v1/attestations/x", "/-/npm/v1/attestations/@acme%2fx", "/-/npm/v1/attestations/x@", "/-/package/_x/dist-tags",
		"/left-pad/@a%2fb",
	} {
		got, err := Parse(escaped)
		if err == nil {
			t.Errorf("Parse(%q): got %+v, want an error", escaped, got)
		} else if !millpond.Is(err, millpond.Invalid) {
			t.Errorf("Parse(%q): got kind %v, want invalid", escaped, millpond.KindOf(err))
		}
	}
}

// FuzzParse takes any escaped path: what Parse reads, String writes, and Parse reads again as the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"/left-pad", "/@acme%2fx/1.0.0", "/@acme/x/-/@acme/x-1.0.0.tgz", "/-/package/@a%2fb/dist-tags/x%20y", "/-/-/--1.tgz",
		"/-/npm/v1/attestations/@a%2fb@1.0.0+x", "/-/user/org.couchdb.user:a%40b/-rev/1", "/a/-/b/-rev/c", "/-/v1/search",
		"/x/%5E1", "/x/-/%C3%A9.tgz",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		p, err := Parse(escaped)
		if err != nil {
			return
		}
		for _, s := range []string{p.Package, p.File} {
			for part := range strings.SplitSeq(s, "/") {
				if part == ".." || part == "." || strings.ContainsAny(part, "\\\x00") {
					t.Errorf("Parse(%q): %+v holds a path", escaped, p)
				}
			}
		}
		again, err := Parse(p.String())
		if err != nil || again != p {
			t.Errorf("Parse(%q) is %+v, which writes %q, which is %+v, %v", escaped, p, p, again, err)
		}
	})
}

// FuzzString takes any names: what String writes of names that can be, Parse reads as the same.
func FuzzString(f *testing.F) {
	f.Add("left-pad", "1.3.0", "left-pad-1.3.0.tgz")
	f.Add("@acme/x", "^1 || 2", "é.tgz")
	f.Add("-", "beta", "--1.tgz")
	f.Fuzz(func(t *testing.T, name, spec, file string) {
		if !validName(name) {
			return
		}
		for _, p := range []Path{
			{Kind: Packument, Package: name}, {Kind: Manifest, Package: name, Spec: spec}, {Kind: Tarball, Package: name, File: file},
			{Kind: Tags, Package: name}, {Kind: Tag, Package: name, Tag: spec}, {Kind: Attestations, Package: name, Spec: spec},
			{Kind: Revision, Package: name, Rev: spec}, {Kind: FileRevision, Package: name, File: file, Rev: spec},
		} {
			plain := plainFile(file) && len(file) < 500 && plainFile(spec) && spec != "-" && spec != "-rev"
			if p.Kind == Packument || p.Kind == Tags {
				plain = true
			}
			if name == "-" && (p.Kind == Manifest || p.Kind == Revision || p.Kind == FileRevision) || strings.Contains(spec, "@") && p.Kind == Attestations {
				continue // no such address
			}
			got, err := Parse(p.String())
			if plain && (err != nil || got != p) {
				t.Errorf("%+v writes %q, which is %+v, %v", p, p, got, err)
			}
		}
	})
}

func TestStringIsAnAddress(t *testing.T) {
	for _, p := range []Path{{Kind: Packument, Package: "@acme/x"}, {Kind: Keys}, {Kind: Tarball, Package: "a'b", File: "x y.tgz"}} {
		u, err := url.Parse("http://upstream.example/base/")
		if err != nil {
			t.Fatal(err)
		}
		ref, err := url.Parse(p.String())
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		want := "/base/" + p.String()
		if got := u.ResolveReference(ref).EscapedPath(); got != want {
			t.Errorf("%+v below the upstream: got %q, want %q", p, got, want)
		}
	}
}

// What npm may mean for a repository at the root of a host is nothing of the pond's own, and no page of another format.
func TestCase22Strays(t *testing.T) {
	for path, want := range map[string]bool{
		"/left-pad/-/left-pad-1.3.0.tgz": true, "/@acme/x/-/x-1.0.0.tgz": true, "/@acme%2fx/-/x-1.0.0.tgz": true, "/-/npm/v1/keys": true,
		"/-/npm/v1/security/advisories/bulk": true, "/-/npm/v1/attestations/x@1.0.0": true,
		"/left-pad": false, "/left-pad/1.3.0": false, "/left-pad/-rev/1": false, "/left-pad/-/x.tgz/-rev/1": false, "/": false, "": false,
		"/-/api": false, "/-/api/why": false, "/-/events": false, "/-/livez": false, "/-/readyz": false, "/-/metrics": false, "/-/ca.pem": false,
		"/-/ui/x.css": false, "/-/whoami": false, "/-/ping": false, "/-/v1/search": false, "/-/npm": false, "/a/b/-/c.tgz": false,
		"/..%2f/-/x.tgz": false, "/.well-known/-/x.tgz": false, "/v2/x/-/y": false, "/simple/x/": false, "/x/-/": false,
	} {
		if got := (Format{}).Strays(path); got != want {
			t.Errorf("Strays(%q) = %t, want %t", path, got, want)
		}
	}
}

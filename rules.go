package millpond

import (
	"fmt"
	"iter"
	"time"
)

// A Grammar is how one ecosystem spells and orders its names and versions. It is pure. Every format is a Grammar.
type Grammar interface {
	// Canon returns the one spelling of a package name, or Invalid if no package could be called that.
	Canon(name string) (string, error)
	// Compare orders versions: negative if a is older than b, zero only if they are the same version.
	Compare(a, b string) int
	// Match reports whether version lies within spec, in the ecosystem's own range syntax; prereleases count as in range.
	// It returns Invalid if spec cannot be read.
	Match(spec, version string) (bool, error)
}

// An Indexer is a Grammar some of whose packages are no more than indexes of others, as a suite of Debian is. Of the rules
// only those that name such a package judge it: what it lists is judged by itself.
type Indexer interface {
	IsIndex(name string) bool
}

// A Rule judges one package. It is pure: no clock, no network, no store. It sees the whole listing, because "latest 5"
// cannot be judged a version at a time. It yields a verdict for each target it has an opinion on and nothing for the rest.
// The first rule with an opinion on a target wins.
type Rule interface {
	// Name is the rule as the configuration spells it, for logs and explanations.
	Name() string
	Judge(now time.Time, g Grammar, p *Package) iter.Seq2[Target, Verdict]
}

// A Target is what a verdict is about: the whole package (both empty), one version (File empty), or one file.
type Target struct{ Version, File string }

// An Opinion is what a verdict says.
type Opinion int

const (
	Pass  Opinion = iota // no opinion; rules need not yield it
	Allow                // let it through, whatever later rules say
	Deny                 // keep it from readers
	Hold                 // Deny until After
	Need                 // the facts are missing: fetch them, then ask again; a Need that cannot be met is a Deny
)

// String is the opinion in words.
func (o Opinion) String() string {
	switch o {
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	case Hold:
		return "hold"
	case Need:
		return "need"
	}
	return "pass"
}

// MarshalText implements encoding.TextMarshaler.
func (o Opinion) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *Opinion) UnmarshalText(text []byte) error {
	for *o = Pass; *o <= Need; *o++ {
		if o.String() == string(text) {
			return nil
		}
	}
	return fmt.Errorf("%q is no opinion", text)
}

// A Fact is what a rule needs to know before it can judge.
type Fact int

const (
	// Description is what Source.Version says of a version that an index merely named.
	Description Fact = iota + 1
	// Listing is the package's whole list of versions, where only one file was asked for.
	Listing
)

// A Verdict is a rule's opinion and the words for it.
type Verdict struct {
	Opinion Opinion   `json:"opinion"`
	Why     string    `json:"why,omitzero"`   // "2.33.0 was published 4 hours ago; hold is 7 days"
	After   time.Time `json:"after,omitzero"` // of a Hold: when it ends
	Need    Fact      `json:"need,omitzero"`  // of a Need: what is missing
}

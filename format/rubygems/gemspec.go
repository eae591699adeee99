package rubygems

import (
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A gemspec is what metadata.gz of a gem says.
type gemspec struct {
	name, number, platform string
	on                     platform // what its maker's Gem::Platform made of the platform's name; nothing if that is not said
	rubygems               string   // the version that made it
	summary, description   string
	homepage               string
	email                  []string // one is a text, several are a list
	authors, licences      []string
	metadata               map[string]string
	ruby, gems             []constraint
	dependencies           []dependency
	date                   time.Time
}

type constraint struct{ op, version string }

type dependency struct {
	name         string
	kind         string // "runtime" or "development"
	requirements []constraint
	prerelease   bool
}

func (s *gemspec) version() string { return join(s.number, s.platform) }

const (
	mostDepth   = 64
	mostAliases = 100
	mostNodes   = 50_000
)

// classes are the tags that a gemspec may have; never changed.
var classes = []string{
	"!ruby/object:Gem::Specification", "!ruby/object:Gem::Version", "!ruby/object:Gem::Requirement", "!ruby/object:Gem::Dependency",
	"!ruby/object:Gem::Version::Requirement", "!ruby/object:Gem::Platform", "!ruby/symbol", "!binary",
	"!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map", "!!timestamp", "!!binary", "!", "",
}

// readGemspec reads the YAML by its nodes: nothing is made of what they name.
func readGemspec(text []byte) (*gemspec, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil || len(doc.Content) != 1 {
		return nil, invalid("the gem's metadata is no YAML")
	}
	var c checker
	if err := c.check(&doc, 0); err != nil {
		return nil, err
	}
	root := doc.Content[0]
	if root.Tag != "!ruby/object:Gem::Specification" || root.Kind != yaml.MappingNode {
		return nil, invalid("the gem's metadata is no specification")
	}
	s := &gemspec{
		name: scalar(at(root, "name")), rubygems: scalar(at(root, "rubygems_version")), summary: scalar(at(root, "summary")),
		description: scalar(at(root, "description")), homepage: scalar(at(root, "homepage")), email: list(at(root, "email")),
		authors: list(at(root, "authors")), licences: list(at(root, "licenses")), metadata: map[string]string{},
	}
	if !isName(s.name) {
		return nil, invalid(fmt.Sprintf("%.100q is no name of a gem", s.name))
	}
	s.number = strings.ReplaceAll(strings.TrimSpace(scalar(at(at(root, "version"), "version"))), "-", ".pre.")
	if !isNumber(s.number) {
		return nil, invalid(fmt.Sprintf("%.100q is no version of a gem", s.number))
	}
	s.platform = "ruby"
	if p := at(root, "platform"); p != nil {
		name := scalar(p)
		if p.Kind == yaml.MappingNode {
			s.on = platform{scalar(at(p, "cpu")), scalar(at(p, "os")), scalar(at(p, "version"))}
			name = s.on.String()
		}
		if name != "" {
			s.platform = name
		}
	}
	if !isPlatform(s.platform) {
		return nil, invalid(fmt.Sprintf("%.100q is no platform", s.platform))
	}
	date := scalar(at(root, "date"))
	if t, err := time.Parse(time.DateOnly, date[:min(10, len(date))]); err == nil {
		s.date = t
	}
	if m := at(root, "metadata"); m != nil && m.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(m.Content); i += 2 {
			s.metadata[scalar(m.Content[i])] = scalar(m.Content[i+1])
		}
	}
	var err error
	if s.ruby, err = constraints(at(root, "required_ruby_version")); err != nil {
		return nil, err
	}
	if s.gems, err = constraints(at(root, "required_rubygems_version")); err != nil {
		return nil, err
	}
	if all := resolve(at(root, "dependencies")); all != nil {
		for _, one := range all.Content {
			d := dependency{name: scalar(at(one, "name")), kind: strings.TrimPrefix(scalar(at(one, "type")), ":"), prerelease: scalar(at(one, "prerelease")) == "true"}
			if d.kind == "" {
				d.kind = "runtime"
			}
			if !isName(d.name) || d.kind != "runtime" && d.kind != "development" {
				return nil, invalid(fmt.Sprintf("the dependency %.100q of type %.30q cannot be read", d.name, d.kind))
			}
			of := at(one, "requirement")
			if of == nil {
				of = at(one, "version_requirements")
			}
			if d.requirements, err = constraints(of); err != nil {
				return nil, err
			}
			s.dependencies = append(s.dependencies, d)
		}
	}
	return s, nil
}

// A checker bounds what is read.
type checker struct{ nodes, aliases int }

func (c *checker) check(n *yaml.Node, depth int) error {
	c.nodes++
	if n.Kind == yaml.AliasNode {
		c.aliases++
	}
	switch {
	case depth > mostDepth, c.nodes > mostNodes:
		return invalid("the gem's metadata is too large or nested too deeply")
	case c.aliases > mostAliases:
		return invalid("the gem's metadata refers to itself too often")
	case n.Kind != yaml.AliasNode && n.Kind != yaml.DocumentNode && !slices.Contains(classes, n.Tag):
		return invalid(fmt.Sprintf("the gem's metadata has an object that no gemspec has: %.100q", n.Tag))
	}
	for _, one := range n.Content {
		if err := c.check(one, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func resolve(n *yaml.Node) *yaml.Node {
	for hops := 0; n != nil && n.Kind == yaml.AliasNode && hops < 8; hops++ {
		n = n.Alias
	}
	return n
}

// at is the value of a key of a mapping; nil if it has none.
func at(n *yaml.Node, key string) *yaml.Node {
	if n = resolve(n); n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if scalar(n.Content[i]) == key {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

// scalar is the text of a node; "" of nil and of what is no scalar. Old gems have plain words as !binary, names of fields too.
func scalar(n *yaml.Node) string {
	if n = resolve(n); n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	if n.Tag != "!binary" && n.Tag != "!!binary" {
		return n.Value
	}
	text, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(string(text), "\ufffd")
}

// list is the texts of a sequence, or of one scalar.
func list(n *yaml.Node) []string {
	if n = resolve(n); n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		if one := scalar(n); one != "" {
			return []string{one}
		}
		return nil
	}
	var out []string
	for _, one := range n.Content {
		if text := scalar(one); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// constraints reads a Gem::Requirement: [[">=", version], …]. Nothing is ">= 0".
func constraints(n *yaml.Node) ([]constraint, error) {
	all := at(n, "requirements")
	if all == nil || all.Kind != yaml.SequenceNode || len(all.Content) == 0 {
		return []constraint{{">=", "0"}}, nil
	}
	var out []constraint
	for _, pair := range all.Content {
		pair = resolve(pair)
		if pair.Kind != yaml.SequenceNode || len(pair.Content) != 2 {
			return nil, invalid("a requirement of the gem cannot be read")
		}
		c := constraint{scalar(pair.Content[0]), scalar(at(pair.Content[1], "version"))}
		if !slices.Contains([]string{"=", "!=", ">", "<", ">=", "<=", "~>"}, c.op) || !isNumber(c.version) {
			return nil, invalid(fmt.Sprintf("the requirement %.20q %.100q cannot be read", c.op, c.version))
		}
		out = append(out, c)
	}
	return out, nil
}

// line is the gem's line of an info.
func (s *gemspec) line(checksum string, created time.Time) string {
	var deps []string
	for _, d := range s.dependencies {
		if d.kind == "runtime" {
			deps = append(deps, d.name+":"+requirements(d.requirements))
		}
	}
	slices.Sort(deps)
	line := s.version() + " " + strings.Join(deps, ",") + "|checksum:" + checksum
	if text := requirements(s.ruby); text != ">= 0" {
		line += ",ruby:" + text
	}
	if text := requirements(s.gems); text != ">= 0" {
		line += ",rubygems:" + text
	}
	if !created.IsZero() {
		line += ",created_at:" + created.UTC().Format(time.RFC3339)
	}
	return line
}

func requirements(all []constraint) string {
	var out []string
	for _, c := range all {
		out = append(out, c.op+" "+c.version)
	}
	slices.Sort(out)
	return strings.Join(out, "&")
}

// quick writes the quick spec: zlib of the Marshal of a Gem::Specification, which dumps itself as a Marshal within.
func (s *gemspec) quick(to io.Writer) error {
	var inner strings.Builder
	d := newDumper(&inner)
	d.array(19)
	d.optional(s.rubygems)
	d.integer(4)
	d.text(s.name)
	d.version(s.number)
	d.time(day(s.date))
	d.text(s.summary)
	d.requirement(s.ruby)
	d.requirement(s.gems)
	d.text(s.platform)
	d.array(len(s.dependencies))
	for _, one := range s.dependencies {
		d.dependency(one)
	}
	d.text("")
	switch len(s.email) {
	case 0:
		d.nil()
	case 1:
		d.text(s.email[0])
	default:
		d.texts(s.email)
	}
	d.texts(s.authors)
	d.optional(s.description)
	d.optional(s.homepage)
	d.boolean(true)
	d.platform(s.platform, s.on)
	d.texts(s.licences)
	d.raw('{')
	d.number(len(s.metadata))
	for _, key := range sortedKeys(s.metadata) {
		d.text(key)
		d.text(s.metadata[key])
	}
	if err := d.flush(); err != nil {
		return err
	}
	z := zlib.NewWriter(to)
	outer := newDumper(z)
	outer.raw('u')
	outer.symbol("Gem::Specification")
	outer.bytes(inner.String())
	if err := outer.flush(); err != nil {
		return err
	}
	return z.Close()
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

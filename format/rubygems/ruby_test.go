package rubygems

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ruby runs a program of Ruby's own: the judge of what Ruby reads.
func ruby(t *testing.T, program string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("ruby"); err != nil {
		t.Skip("ruby is not installed")
	}
	cmd := exec.Command("ruby", append([]string{"-e", program}, args...)...)
	cmd.Env = append(os.Environ(), "LANG=C.UTF-8")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("ruby: %v\n%s", err, said.String())
	}
	return out.String()
}

func write(t *testing.T, name string, body []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, body, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCase09QuickSpecs: Ruby loads what the dumper writes, and finds in it what the gemspec says.
func TestCase09QuickSpecs(t *testing.T) {
	many := make([]dependency, 200)
	for i := range many {
		many[i] = dependency{name: "dep" + strings.Repeat("x", i%7) + string(rune('a'+i%26)), kind: "runtime", requirements: []constraint{{">=", "1." + strings.Repeat("1", 1+i%3)}, {"<", "9"}}, prerelease: i%2 == 0}
	}
	any := []constraint{{">=", "0"}}
	for name, s := range map[string]*gemspec{
		"plain":     {name: "alpha", number: "1.0.0", platform: "ruby", authors: []string{"Alice"}, ruby: any, gems: any},
		"non-ASCII": {name: "alpha", number: "1.0.0", platform: "ruby", summary: "Grüße ☃", authors: []string{"Ä", "B"}, email: []string{"ä@b.example", "c@d.example"}, ruby: any, gems: any, description: "日本語", homepage: "https://acme.example", licences: []string{"MIT", "Ruby"}},
		"platform":  {name: "alpha", number: "1.2.0.pre", platform: "x86_64-linux", ruby: []constraint{{"~>", "3.0"}}, gems: any, email: []string{"one@b.example"}},
		"java":      {name: "alpha", number: "1.2.0", platform: "java", ruby: any, gems: any},
		"darwin":    {name: "alpha", number: "1.2.0", platform: "universal-darwin-20", ruby: any, gems: any},
		"musl":      {name: "alpha", number: "1.2.0", platform: "x86_64-linux-musl", ruby: any, gems: any},
		"ucrt":      {name: "alpha", number: "1.2.0", platform: "x64-mingw-ucrt", on: platform{"x64", "mingw", "ucrt"}, ruby: any, gems: any},
		"solaris":   {name: "alpha", number: "1.2.0", platform: "sparc-solaris-2.10", ruby: any, gems: any},
		"200":       {name: "alpha", number: "1.2.0", platform: "ruby", ruby: any, gems: any, dependencies: many},
		"metadata":  {name: "alpha", number: "1.2.0", platform: "ruby", ruby: any, gems: any, metadata: map[string]string{"a": "b", "funding_uri": strings.Repeat("x", 300)}},
		"old":       {name: "alpha", number: "0.0.1", platform: "ruby", ruby: any, gems: any, date: time.Date(1969, 7, 20, 0, 0, 0, 0, time.UTC)},
		"new":       {name: "alpha", number: "0.0.1", platform: "ruby", ruby: any, gems: any, date: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(name, func(t *testing.T) {
			if s.date.IsZero() {
				s.date = time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC)
			}
			var b bytes.Buffer
			if err := s.quick(&b); err != nil {
				t.Fatal(err)
			}
			out := ruby(t, `
require 'rubygems'; require 'json'; require 'zlib'
s = Marshal.load(Zlib.inflate(File.binread(ARGV[0])))
raise "a #{s.class}" unless s.is_a? Gem::Specification
list = ->(r) { r.as_list.sort.join('&') }
Marshal.load(Marshal.dump(s)) # and its own dump of it is read by itself
puts JSON.generate({full: s.full_name, summary: s.summary.to_s, authors: s.authors, email: [s.email].flatten.compact, description: s.description.to_s,
  homepage: s.homepage.to_s, licences: s.instance_variable_get(:@license) || s.licenses, metadata: s.metadata, ruby: list[s.required_ruby_version], gems: list[s.required_rubygems_version],
  deps: s.dependencies.map { |d| [d.name, d.type.to_s, list[d.requirement]] }, date: s.date.strftime('%Y-%m-%d'), platform: s.platform.to_s,
  os: s.platform.respond_to?(:os) ? s.platform.os : '', match: Gem::Platform.new(s.platform.to_s) == s.platform, encoding: s.summary.encoding.to_s})
`, write(t, "x.rz", b.Bytes()))
			var got struct {
				Full, Summary, Description, Homepage, Ruby, Gems, Date, Platform, Encoding string
				Authors, Email, Licences                                                   []string
				Metadata                                                                   map[string]string
				Deps                                                                       [][3]string
				Match                                                                      bool
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			for what, pair := range map[string][2]string{
				"full name": {got.Full, s.name + "-" + s.version()}, "summary": {got.Summary, s.summary}, "description": {got.Description, s.description},
				"homepage": {got.Homepage, s.homepage}, "ruby": {got.Ruby, requirements(s.ruby)}, "rubygems": {got.Gems, requirements(s.gems)},
				"date": {got.Date, s.date.Format(time.DateOnly)}, "platform": {got.Platform, s.platform}, "encoding": {got.Encoding, "UTF-8"},
				"authors": {strings.Join(got.Authors, "|"), strings.Join(s.authors, "|")}, "email": {strings.Join(got.Email, "|"), strings.Join(s.email, "|")},
				"licences": {strings.Join(got.Licences, "|"), strings.Join(s.licences, "|")},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s: Ruby reads %q, want %q", what, pair[0], pair[1])
				}
			}
			if len(got.Metadata) != len(s.metadata) || !got.Match {
				t.Errorf("metadata %v, want %v; the platform is Ruby's own: %t", got.Metadata, s.metadata, got.Match)
			}
			if len(got.Deps) != len(s.dependencies) {
				t.Fatalf("Ruby reads %d dependencies, want %d", len(got.Deps), len(s.dependencies))
			}
			for i, d := range s.dependencies {
				if want := [3]string{d.name, d.kind, requirements(d.requirements)}; got.Deps[i] != want {
					t.Errorf("dependency %d: Ruby reads %q, want %q", i, got.Deps[i], want)
				}
			}
		})
	}
}

// TestRubyOrdersAsWeDo: Gem::Version is the judge of Compare.
func TestRubyOrdersAsWeDo(t *testing.T) {
	all := []string{"1", "1.0", "1.0.0", "1.0.1", "1.a", "1.0.a", "1.0.0.pre", "1.0.0.pre.1", "1.0.0.pre1", "1.0.0.pre.2", "1.0.0.rc1", "1.10", "1.9", "2", "2.0.b", "0.0.0", "0", "1.0.0.0.1", "10.0", "1.2.3.4", "1.01", "1.a.0", "1.0.a.0.1", "999999999999999999999.0", "1.A", "1.Pre"}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	out := ruby(t, `require 'json'; all = JSON.parse(ARGV[0]).map { |v| Gem::Version.new(v) }
puts JSON.generate(all.map { |a| all.map { |b| a <=> b } })`, string(text))
	var want [][]int
	if err := json.Unmarshal([]byte(out), &want); err != nil {
		t.Fatal(err)
	}
	for i, a := range all {
		for j, b := range all {
			got := compareNumbers(a, b)
			got = min(max(got, -1), 1)
			if got != want[i][j] {
				t.Errorf("compare %q and %q: got %d, Ruby says %d", a, b, got, want[i][j])
			}
			if c := (Format{}).Compare(a, b); c == 0 != (a == b) {
				t.Errorf("Compare(%q, %q) = %d: only a version itself is the same", a, b, c)
			}
		}
	}
}

// TestRubyMatchesAsWeDo: Gem::Requirement is the judge of Match.
func TestRubyMatchesAsWeDo(t *testing.T) {
	versions := []string{"1.0", "1.2.3", "1.2.9", "1.3", "2.0", "2.0.pre", "0.9", "1.2.3.pre", "10"}
	specs := []string{"~> 1.2", "~> 1.2.3", "~> 1", ">= 1.2.3", "< 2", "<= 1.3", "!= 1.3", "= 1.3", "1.3", "> 1.0, < 2.0", "~> 1.2.3.pre", "~> 9"}
	text, err := json.Marshal([][]string{specs, versions})
	if err != nil {
		t.Fatal(err)
	}
	out := ruby(t, `require 'json'; specs, versions = JSON.parse(ARGV[0])
puts JSON.generate(specs.map { |s| r = Gem::Requirement.new(s.split(',').map(&:strip)); versions.map { |v| r.satisfied_by? Gem::Version.new(v) } })`, string(text))
	var want [][]bool
	if err := json.Unmarshal([]byte(out), &want); err != nil {
		t.Fatal(err)
	}
	for i, s := range specs {
		for j, v := range versions {
			got, err := Format{}.Match(s, v)
			if err != nil || got != want[i][j] {
				t.Errorf("Match(%q, %q) = %t, %v; Ruby says %t", s, v, got, err, want[i][j])
			}
		}
	}
	if _, err := (Format{}).Match("nonsense", "1.0"); err == nil {
		t.Error("nonsense is read as a requirement")
	}
}

// TestRubyReadsTheLegacyIndex and the one gzip member of a text that has grown three times.
func TestRubyReadsTheLegacyIndex(t *testing.T) {
	l := newLog()
	l.rows = map[string]row{"alpha": {said: "1.0.0,1.1.0,2.0.0.pre,1.1.0-java x"}, "nokogiri": {said: "1.16.0-x86_64-linux,1.16.0 x"}, "gone": {said: " x"}}
	for file, want := range map[string]string{
		"specs.4.8.gz":            "alpha 1.0.0 ruby|alpha 1.1.0 ruby|alpha 1.1.0 java|nokogiri 1.16.0 x86_64-linux|nokogiri 1.16.0 ruby",
		"latest_specs.4.8.gz":     "alpha 1.1.0 ruby|alpha 1.1.0 java|nokogiri 1.16.0 x86_64-linux|nokogiri 1.16.0 ruby",
		"prerelease_specs.4.8.gz": "alpha 2.0.0.pre ruby",
	} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if err := l.dump(z, file); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		got := strings.TrimSpace(ruby(t, `require 'zlib'; puts Marshal.load(Zlib::GzipReader.open(ARGV[0]).read).map { |n, v, p| raise v.class.to_s unless v.is_a? Gem::Version; "#{n} #{v} #{p}" }.join('|')`, write(t, file, b.Bytes())))
		if got != want {
			t.Errorf("%s: Ruby reads %q, want %q", file, got, want)
		}
	}
}

package all

import (
	"net/url"
	"strings"
	"testing"
)

// TestFormatsIntroduceThemselves checks what the house draws of a format without knowing it.
func TestFormatsIntroduceThemselves(t *testing.T) {
	names, purls := map[string]bool{}, map[string]bool{}
	base := &url.URL{Scheme: "https", Host: "pond.example", Path: "/the-name/"}
	for _, f := range Formats() {
		info := f.Info()
		if info.Name == "" || info.Name != strings.ToLower(info.Name) || names[info.Name] {
			t.Errorf("%T: the name %q is empty, not lower case, or another's too", f, info.Name)
		}
		if info.PURL == "" || purls[info.PURL] {
			t.Errorf("%s: the package-url type %q is empty or another's too", info.Name, info.PURL)
		}
		names[info.Name], purls[info.PURL] = true, true
		if info.Title == "" || info.Fresh <= 0 || info.Absent <= 0 {
			t.Errorf("%s: Title %q, Fresh %s, Absent %s: all are needed", info.Name, info.Title, info.Fresh, info.Absent)
		}
		for _, root := range info.Roots {
			if len(root) < 3 || root[0] != '/' || root[len(root)-1] != '/' {
				t.Errorf("%s: root %q should begin and end in a slash", info.Name, root)
			}
		}
		if info.SetUp == nil {
			t.Errorf("%s: no set-up", info.Name)
			continue
		}
		snippets := info.SetUp(base)
		if len(snippets) == 0 || !strings.Contains(snippets[0].Text, base.Host) {
			t.Errorf("%s: the first set-up snippet of %+v does not name the repository", info.Name, snippets)
		}
		for _, s := range snippets {
			if s.Client == "" || s.Text == "" {
				t.Errorf("%s: snippet %+v has no client or no text", info.Name, s)
			}
		}
		for _, o := range info.Options {
			if o.Name == "" || o.Help == "" {
				t.Errorf("%s: option %+v has no name or no help", info.Name, o)
			}
		}
	}
}

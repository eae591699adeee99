package millpond_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromises: docs/promises.md has a row for every promise, fault and attack, each test that it names exists, and a row that
// names none says why.
func TestPromises(t *testing.T) {
	text, err := os.ReadFile("docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for kind, last := range map[string]int{"P": 11, "F": 55, "S": 48} {
		for n := 1; n <= last; n++ {
			missing[fmt.Sprintf("%s%02d", kind, n)] = true
		}
	}
	row := regexp.MustCompile(`^\| ([PFS]\d\d) \|([^|]+)\|([^|]*)\|([^|]*)\|$`)
	name := regexp.MustCompile("`([^`]+)`")
	files := map[string]string{}
	for line := range strings.Lines(string(text)) {
		m := row.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			if strings.HasPrefix(line, "| P") || strings.HasPrefix(line, "| F") || strings.HasPrefix(line, "| S") {
				t.Errorf("a row that cannot be read: %s", line)
			}
			continue
		}
		id, shown, not := m[1], m[3], m[4]
		if !missing[id] {
			t.Errorf("%s is there twice, or is no row", id)
		}
		delete(missing, id)
		names := name.FindAllStringSubmatch(shown, -1)
		if len(names) == 0 && strings.TrimSpace(not) == "" {
			t.Errorf("%s is shown by nothing, and nothing says why", id)
		}
		for _, n := range names {
			path, function, _ := strings.Cut(n[1], ":")
			if _, read := files[path]; !read {
				b, err := os.ReadFile(filepath.FromSlash(path))
				if err != nil {
					t.Errorf("%s: %v", id, err)
				}
				files[path] = string(b)
			}
			if function != "" && !strings.Contains(files[path], "\nfunc "+function+"(") {
				t.Errorf("%s: %s has no %s", id, path, function)
			}
			if function == "" && !strings.HasSuffix(path, ".txtar") {
				t.Errorf("%s: %s names no test", id, path)
			}
		}
	}
	for id := range missing {
		t.Errorf("%s has no row", id)
	}
}

package policy

import (
	_ "embed" // the package comment
	"strings"
)

//go:embed policy.go
var source string

// Help is how rules are written, for people who write them: the package comment from where it begins to speak of rules.
func Help() string {
	comment, _, _ := strings.Cut(source, "\npackage policy")
	_, rules, _ := strings.Cut(comment, "//\n")
	var b strings.Builder
	for line := range strings.Lines(rules) {
		line = strings.TrimPrefix(strings.TrimPrefix(line, "//"), " ")
		b.WriteString(strings.ReplaceAll(line, "\t", "    "))
	}
	return b.String()
}

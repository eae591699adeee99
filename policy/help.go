package policy

import (
	_ "embed" // comments that are documentation for users too
	"strings"
)

//go:embed policy.go
var rulesSource string

//go:embed pattern.go
var patternSource string

// Help is how rules and patterns are written, for people who write them: the comments of the package and of Pattern.
func Help() string {
	rules, _, _ := strings.Cut(rulesSource, "\npackage policy")
	_, rules, _ = strings.Cut(rules, "//\n")
	_, patterns, _ := strings.Cut(patternSource, "\n)\n\n") // behind the imports
	patterns, _, _ = strings.Cut(patterns, "\ntype Pattern")
	return uncommented(rules) + "\n" + uncommented(patterns)
}

func uncommented(comment string) string {
	var b strings.Builder
	for line := range strings.Lines(comment) {
		line = strings.TrimPrefix(strings.TrimPrefix(strings.TrimRight(line, "\n"), "//"), " ")
		b.WriteString(strings.ReplaceAll(line, "\t", "    ") + "\n")
	}
	return b.String()
}

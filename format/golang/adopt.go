package golang

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"strconv"
	"strings"

	"millpond"
	"millpond/format"
)

// adopt reads what the installed go command is set up with. Each proxy of GOPROXY is an upstream of one repository, in
// order; the repository's options come with every one of them.
func adopt(ctx context.Context, env format.Machine) ([]format.Adopted, error) {
	out, err := env.Run(ctx, "go", "env", "-json", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOROOT")
	if millpond.Is(err, millpond.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask go for its settings: %w", err)
	}
	var set struct{ GOPROXY, GOSUMDB, GONOSUMDB, GOPRIVATE, GOROOT string }
	if err := json.Unmarshal([]byte(out), &set); err != nil {
		return nil, fmt.Errorf("read what go env said: %w", err)
	}
	const from = "go env GOPROXY"
	options := map[string]string{}
	var notes []string
	if line, note := adoptSum(env, set.GOSUMDB, set.GOROOT); line != "" || note != "" {
		if line != "" {
			options["sumdb"] = line
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	if set.GONOSUMDB != "" {
		options["no_sum"] = set.GONOSUMDB
	}
	if set.GOPRIVATE != "" {
		notes = append(notes, "GOPRIVATE is "+set.GOPRIVATE+": claim these names, so that no upstream hears of them")
	}
	if strings.Contains(set.GOPROXY, "|") {
		notes = append(notes, "| was read as a comma: the next upstream is asked only about what the one before does not have")
	}
	var all []format.Adopted
	for entry := range strings.FieldsFuncSeq(set.GOPROXY, func(r rune) bool { return r == ',' || r == '|' }) {
		entry = strings.TrimSpace(entry)
		switch entry {
		case "":
			continue
		case "direct", "off":
			notes = append(notes, "\""+entry+"\" was dropped: the pond asks its upstreams only")
			continue
		}
		a, note := adoptProxy(entry)
		if note != "" {
			notes = append(notes, note)
			continue
		}
		a.From, a.Options = from, options
		all = append(all, a)
	}
	note := strings.Join(notes, "; ")
	switch {
	case len(all) > 0:
		all[0].Note = note
	case note != "":
		all = []format.Adopted{{From: from, Note: note}}
	}
	return all, nil
}

// adoptProxy reads one entry of GOPROXY, or says why it cannot be used.
func adoptProxy(entry string) (format.Adopted, string) {
	a, ok := format.Adopt(entry)
	if !ok {
		shown := entry
		if u, err := url.Parse(entry); err == nil {
			shown = u.Redacted()
		}
		return a, fmt.Sprintf("%q was dropped: it is no http or https address", shown)
	}
	return a, ""
}

// adoptSum makes the option sumdb from GOSUMDB: a verifier key, or a name whose key the installed toolchain knows.
func adoptSum(env format.Machine, gosumdb, goroot string) (line, note string) {
	fields := strings.Fields(gosumdb)
	if len(fields) == 0 || fields[0] == "off" {
		return "", "go uses no checksum database, and so the pond can verify nothing"
	}
	if !strings.Contains(fields[0], "+") {
		key := knownKey(env, goroot, fields[0])
		if key == "" {
			return strings.Join(fields, " "), "the key of the checksum database " + fields[0] + " is not known: it is relayed, and nothing can be verified by it"
		}
		fields[0] = key
	}
	return strings.Join(fields, " "), ""
}

// knownKey is the verifier key that the installed toolchain has for the name of a database, read from its own source.
func knownKey(env format.Machine, goroot, name string) string {
	src, err := env.ReadFile(goroot + "/src/cmd/go/internal/modfetch/key.go")
	if err != nil {
		return "" // a toolchain without its source
	}
	file, err := parser.ParseFile(token.NewFileSet(), "key.go", src, parser.SkipObjectResolution)
	if err != nil {
		return ""
	}
	key := ""
	ast.Inspect(file, func(n ast.Node) bool {
		pair, ok := n.(*ast.KeyValueExpr)
		if ok && literal(pair.Key) == name {
			key = literal(pair.Value)
		}
		return true
	})
	return key
}

// literal is the value of a string literal, "" of any other expression.
func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

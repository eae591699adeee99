package cargo

import (
	"context"
	"fmt"
	"strings"

	"millpond"
	"millpond/format"
)

// question lets the installed cargo say where it reads from. Its proxy is an address where nobody listens, so it comes no
// further than to say what it could not reach; and it says so on standard error.
const question = `cargo info --config 'http.proxy="127.0.0.1:9"' --config net.retry=0 --color never serde 2>&1 || true`

// adopt asks the installed cargo, which knows its files, its environment and its own default.
func adopt(ctx context.Context, env format.Machine) ([]format.Adopted, error) {
	if _, err := env.Run(ctx, "cargo", "--version"); err != nil {
		if millpond.Is(err, millpond.NotFound) {
			return nil, nil
		}
		return nil, nil // rustup without a toolchain: there is no cargo
	}
	said, err := env.Run(ctx, "sh", "-c", question)
	if millpond.Is(err, millpond.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask cargo for its registry: %w", err)
	}
	const from = "cargo info"
	at := indexIn(said)
	if at == "" {
		return []format.Adopted{{From: from, Note: "cargo does not say which sparse index it reads: give it as --upstream cargo=URL"}}, nil
	}
	a, ok := format.Adopt(at)
	if !ok {
		return nil, nil
	}
	a.From = from
	return []format.Adopted{a}, nil
}

// indexIn is the address of the index whose config.json cargo says it could not read; "" if it says nothing of it.
func indexIn(said string) string {
	for word := range strings.FieldsFuncSeq(said, func(c rune) bool { return strings.ContainsRune("`'\" \t\r\n()<>", c) }) {
		at, ok := strings.CutSuffix(word, configName)
		if at = strings.TrimPrefix(at, "sparse+"); ok && strings.HasSuffix(at, "/") && (strings.HasPrefix(at, "https://") || strings.HasPrefix(at, "http://")) {
			return at
		}
	}
	return ""
}

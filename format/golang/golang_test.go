package golang

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"millpond/fetch/faulty"
	"millpond/format/formattest"
)

func TestFormat(t *testing.T) {
	file := func(pkg string, kind Kind, version string) string {
		return Path{Kind: kind, Module: pkg, Version: version}.String()
	}
	zip := func(pkg string, r formattest.Release) []byte {
		body := []byte(zipOf(t, map[string]string{
			pkg + "@" + r.Version + "/go.mod": "module " + pkg + "\n",
			pkg + "@" + r.Version + "/x.go":   fmt.Sprintf("package x // %d\n", r.Variant),
		}))
		if r.Refused {
			body = append(body, "more"...)
		}
		return body
	}
	formattest.Run(t, formattest.Ecosystem{
		Format: Format{},
		Root:   "/",
		Put: func(up *faulty.Server, pkg string, releases ...formattest.Release) {
			var list strings.Builder
			for _, r := range releases {
				fmt.Fprintln(&list, r.Version)
				info := fmt.Sprintf(`{"Version":%q,"Time":%q}`, r.Version, r.Published.Format(time.RFC3339))
				tag := fmt.Sprintf(`"%s-%d"`, r.Version, r.Variant)
				up.Put(file(pkg, Info, r.Version), faulty.Object{Body: []byte(info), Type: typeInfo, ETag: tag})
				up.Put(file(pkg, Mod, r.Version), faulty.Object{Body: []byte("module " + pkg + "\n"), Type: typeText, ETag: tag})
				up.Put(file(pkg, Zip, r.Version), faulty.Object{Body: zip(pkg, r), Type: typeZip, ETag: tag})
			}
			up.Put(file(pkg, List, ""), faulty.Object{Body: []byte(list.String()), Type: typeText, ETag: fmt.Sprintf(`"%d"`, len(releases))})
		},
		Bytes:         zip,
		UpstreamIndex: func(pkg string) string { return file(pkg, List, "") },
		UpstreamFile:  func(pkg string, r formattest.Release) string { return file(pkg, Zip, r.Version) },
		Index:         func(pkg string) string { return file(pkg, List, "") },
		File:          func(pkg string, r formattest.Release) string { return file(pkg, Zip, r.Version) },
		Lists: func(index []byte, version string) bool {
			return slices.Contains(strings.Fields(string(index)), version)
		},
		Publish: func(c formattest.Client, pkg string, r formattest.Release) formattest.Reply {
			return c.Do("PUT", Path{Kind: Upload}.String(), nil, zip(pkg, r))
		},
		Package:  "git.example/Acme/alpha",
		Other:    "git.example/acme/alpha", // case never folds: another module
		Claim:    "git.example/Acme/*",
		Versions: [3]string{"v1.0.0", "v1.1.0", "v1.2.0"},
		Spellings: []string{
			"/git.example/%21acme/alpha/@v/list", "/git.example/!acme/%61lpha/%40v/list",
		},
		Unlisted: true,
		Except: map[string]string{
			"an empty index": "an empty list is that of a module without tags",
			"wrong bytes never end cleanly and are not kept": "only a checksum database tells wrong bytes, and what it answers is kept: see TestCase06WrongHash",
		},
	})
}

package millpond_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// doors says which rooms of the house each room may enter. A room is a folder; "format/*" is every folder below format that
// has no line of its own. Tests may enter what their room may, and what testDoors adds. What is not listed may enter nothing
// but the standard library and other people's modules.
//
// It is read from the files with go/parser and not by running go list, whose reads escape the test cache: a forbidden
// import would be answered "(cached)".
var doors = map[string][]string{
	".": {},

	"blob":         {"."},
	"blob/*":       {".", "blob", "blob/disk/durable", "blob/seekable"},
	"blob/disk/*":  {"."},
	"catalog":      {"."},
	"catalog/*":    {".", "catalog"},
	"policy":       {"."},
	"inflate":      {},
	"manysum":      {},
	"format":       {".", "inflate", "manysum"},
	"format/*":     {".", "format"}, // exactly two doors
	"format/all":   {"format", "format/*"},
	"fetch":        {".", "blob", "blob/seekable"},
	"fetch/faulty": {},
	"mirror":       {".", "format"},

	"repo": {".", "blob", "blob/seekable", "catalog", "fetch", "policy", "format"},

	"format/formattest": {".", "format", "blob", "blob/disk", "blob/mem", "catalog", "catalog/catalogtest", "catalog/sql", "fetch", "fetch/faulty", "policy", "repo"}, // a suite, not a format

	"internal/http1":   {},
	"internal/ui":      {".", "format"}, // draws Info and records; knows no format
	"internal/server":  {".", "blob", "catalog", "fetch", "policy", "format", "repo", "internal/audit", "internal/auth", "internal/http1", "internal/ui"},
	"internal/config":  {".", "fetch", "policy", "format", "repo"},
	"internal/auth":    {".", "catalog", "format", "repo"},
	"internal/audit":   {".", "catalog"},
	"internal/backup":  {".", "blob", "blob/disk", "catalog", "catalog/sql", "repo"},
	"internal/replica": {".", "blob", "catalog", "fetch", "format", "repo"},
	"internal/cli":     {".", "blob", "blob/*", "catalog", "catalog/sql", "fetch", "policy", "format", "format/all", "mirror", "repo", "internal/audit", "internal/auth", "internal/backup", "internal/config", "internal/replica", "internal/server", "internal/takedown", "internal/ui"},

	"internal/takedown": {".", "catalog", "repo"},

	"cmd/*": {"internal/cli"},
}

// testDoors are what tests may enter besides.
var testDoors = map[string][]string{
	"*":               {"blob/blobtest", "blob/mem", "blob/disk", "catalog/catalogtest", "fetch/faulty"},
	"format/*":        {"format/formattest", "fetch", "repo", "policy", "catalog", "catalog/sql", "blob"},
	"repo":            {"catalog/sql", "format/*", "blob/disk/durable"},
	"mirror":          {"format/*", "policy"},
	"internal/audit":  {"catalog/sql", "fetch"},
	"internal/server": {"catalog/sql", "format/all", "format/*"},
	"internal/auth":   {"catalog/sql"},
	"internal/backup": {"blob/disk/durable", "fetch", "format", "format/pypi"},
	"internal/config": {"format/all", "format/*"},
	"internal/cli":    {"format/*"},
	".":               {"internal/cli"}, // the scripts drive the whole
	"bench":           {"*"},

	"internal/takedown": {"catalog/sql", "fetch", "format", "format/pypi"},
}

const module = "millpond"

// foreign are packages that rooms below the fifth floor may not use, whatever module they come from.
var foreign = map[string][]string{
	"format/*": {"database/sql"},
	"policy":   {"database/sql", "net/http", "net", "os"},
	"catalog":  {"net/http"},
	"blob":     {"database/sql", "net/http"},
	"mirror":   {"database/sql"},
	".":        {"database/sql", "os", "net"},
}

func TestDoors(t *testing.T) {
	seen := 0
	eachFile(t, func(path string, f *ast.File) {
		room := filepath.ToSlash(filepath.Dir(path))
		isTest := strings.HasSuffix(path, "_test.go")
		if room == "bench" || strings.HasPrefix(room, "bench/") {
			return // looks at the house from outside, through every window
		}
		allowed, known := lookup(doors, room)
		if !known {
			t.Errorf("%s: the room %s is not in doors_test.go: give it a line that says whom it may enter", path, room)
			return
		}
		if isTest {
			allowed = append(slices.Clone(allowed), testDoors["*"]...)
			more, _ := lookup(testDoors, room)
			allowed = append(allowed, more...)
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Errorf("%s: import %s: %v", path, spec.Path.Value, err)
				continue
			}
			seen++
			if !isTest {
				if banned, _ := lookup(foreign, room); slices.Contains(banned, imported) {
					t.Errorf("%s: %s may not import %s", path, room, imported)
				}
			}
			target, ok := inHouse(imported)
			if !ok || target == room {
				continue
			}
			if !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, target) }) {
				t.Errorf("%s: %s may not enter %s (its doors: %s)", path, room, target, strings.Join(allowed, ", "))
			}
		}
	})
	if seen < 50 {
		t.Errorf("looked at %d imports only: the test does not see the house", seen)
	}
}

// TestDoorsAreShut shows that the map would catch what it is for.
func TestDoorsAreShut(t *testing.T) {
	for _, c := range []struct {
		room, target string
		want         bool
	}{
		{"format/pypi", "format", true},
		{"format/pypi", ".", true},
		{"format/pypi", "format/npm", false},
		{"format/pypi", "repo", false},
		{"format/pypi", "fetch", false},
		{"policy", ".", true},
		{"policy", "format", false},
		{"catalog", "blob", false},
		{"catalog/sql", "blob", false},
		{"blob/disk", "catalog", false},
		{"internal/ui", "format/pypi", false},
		{"internal/config", "format/pypi", false},
		{"fetch", "format", false},
		{"fetch", "catalog", false},
		{"repo", "format/pypi", false},
		{"repo", "internal/server", false},
		{"cmd/millpond", "internal/cli", true},
		{"cmd/millpond", "repo", false},
		{".", "format", false},
	} {
		allowed, known := lookup(doors, c.room)
		got := slices.ContainsFunc(allowed, func(p string) bool { return matches(p, c.target) })
		if !known || got != c.want {
			t.Errorf("%s into %s: %t (room known: %t), want %t", c.room, c.target, got, known, c.want)
		}
	}
}

// TestNoRegistries finds package-level state: init functions, and variables that something assigns to. A variable that is
// made once and only read (an error, a table, an embedded file) is fine.
func TestNoRegistries(t *testing.T) {
	type place struct{ path, name string }
	vars := map[string]map[string]place{} // by room
	type assignment struct{ room, name, path string }
	var assigned []assignment
	eachFile(t, func(path string, f *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		room := filepath.ToSlash(filepath.Dir(path))
		if vars[room] == nil {
			vars[room] = map[string]place{}
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil {
					t.Errorf("%s: func init: say it where it is used", path)
				}
				if d.Body == nil {
					continue
				}
				for name := range assignedIn(d) {
					assigned = append(assigned, assignment{room, name, path})
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				for _, spec := range d.Specs {
					v := spec.(*ast.ValueSpec)
					for _, name := range v.Names {
						vars[room][name.Name] = place{path, name.Name}
					}
					if stateful(v.Type) {
						t.Errorf("%s: var %s: package-level state", path, v.Names[0].Name)
					}
					for _, value := range v.Values {
						if lit, ok := value.(*ast.CompositeLit); ok && stateful(lit.Type) {
							t.Errorf("%s: var %s: package-level state", path, v.Names[0].Name)
						}
					}
				}
			}
		}
	})
	for _, a := range assigned {
		if v, ok := vars[a.room][a.name]; ok {
			t.Errorf("%s: assigns to %s, a variable of the package (%s)", a.path, a.name, v.path)
		}
	}
}

// stateful reports whether a type is one that only exists to be changed.
func stateful(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && (pkg.Name == "sync" && s.Sel.Name != "Pool" || pkg.Name == "atomic")
}

// assignedIn are the plain names, and the roots of index and field expressions, that a function's body assigns to and does
// not declare itself. Package-level names that a local one shadows are left out: a false alarm is worse here.
func assignedIn(f *ast.FuncDecl) map[string]bool {
	local, out := map[string]bool{}, map[string]bool{}
	for _, list := range []*ast.FieldList{f.Recv, f.Type.Params, f.Type.Results} {
		for _, name := range fieldNames(list) {
			local[name] = true
		}
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, lhs := range n.Lhs {
				if name, ok := root(lhs); ok {
					if n.Tok == token.DEFINE {
						local[name] = true
					} else {
						out[name] = true
					}
				}
			}
		case *ast.IncDecStmt:
			if name, ok := root(n.X); ok {
				out[name] = true
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if name, ok := root(e); ok && n.Tok == token.DEFINE {
					local[name] = true
				}
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				local[name.Name] = true
			}
		case *ast.FuncLit:
			for _, list := range []*ast.FieldList{n.Type.Params, n.Type.Results} {
				for _, name := range fieldNames(list) {
					local[name] = true
				}
			}
		}
		return true
	})
	for name := range local {
		delete(out, name)
	}
	return out
}

func fieldNames(list *ast.FieldList) (names []string) {
	if list == nil {
		return nil
	}
	for _, field := range list.List {
		for _, n := range field.Names {
			names = append(names, n.Name)
		}
	}
	return names
}

func root(e ast.Expr) (string, bool) {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name, x.Name != "_"
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return "", false
		}
	}
}

// eachFile parses every Go file of the house.
func eachFile(t *testing.T, f func(path string, file *ast.File)) {
	t.Helper()
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name != "." && (name[0] == '.' || name[0] == '_' || name == "testdata" || name == "vendor") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f(path, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func inHouse(imported string) (room string, ok bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// lookup finds the line of a room: its own, else that of the nearest folder above with a star.
func lookup(m map[string][]string, room string) ([]string, bool) {
	if v, ok := m[room]; ok {
		return v, true
	}
	for dir := room; strings.Contains(dir, "/"); {
		dir = dir[:strings.LastIndexByte(dir, '/')]
		if v, ok := m[dir+"/*"]; ok {
			return v, true
		}
	}
	return nil, false
}

func matches(pattern, room string) bool {
	if pattern == "*" || pattern == room {
		return true
	}
	above, ok := strings.CutSuffix(pattern, "*")
	return ok && strings.HasPrefix(room, above)
}

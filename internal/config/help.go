package config

import (
	_ "embed" // the source of the settings, for their comments
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"reflect"
	"strings"

	"millpond/format"
	"millpond/policy"
)

//go:embed settings.go
var source string

// comments are the documentation of the settings, by type and field.
func comments() (map[string]map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "settings.go", source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			return true
		}
		said, last := map[string]string{}, ""
		for _, f := range fields.Fields.List {
			text := strings.Join(strings.Fields(f.Doc.Text()), " ")
			for _, name := range f.Names {
				if text == "" { // Password belongs to Username's
					text = last
				}
				said[name.Name], last = text, text
			}
		}
		all[spec.Name.Name] = said
		return true
	})
	return all, nil
}

// A key is one setting, as Help and Write show it.
type key struct {
	name, words, standard, comment string
}

// keysOf are the settings of a struct type with their documentation.
func keysOf(t reflect.Type) ([]key, error) {
	docs, err := comments()
	if err != nil {
		return nil, err
	}
	var all []key
	for _, f := range fieldsOf(t) {
		declared := t.Field(f.index)
		all = append(all, key{f.key, f.words, declared.Tag.Get("default"), docs[t.Name()][declared.Name]})
	}
	return all, nil
}

// Help prints every key of the file with its kind, its default and its meaning.
func Help(w io.Writer, formats []format.Format) error {
	p := &printer{w: w}
	p.line("The configuration is one YAML file, which --config or MILLPOND_CONFIG names. A variable in a value, ${NAME}, is")
	p.line("replaced by the environment's. Durations are written 7d, 12h or 1h30m, sizes 500MB or 10GiB. Keys may have - for _.")
	p.line("")
	p.section(reflect.TypeFor[Config](), "", true)
	p.heading("an entry of auth.oidc")
	p.section(reflect.TypeFor[OIDC](), "", false)
	p.heading("an entry of auth.issuers, where it is a mapping")
	p.section(reflect.TypeFor[Issuer](), "", false)
	p.heading("an entry of advisories, where it is a mapping")
	p.section(reflect.TypeFor[Feed](), "", false)
	p.heading("an entry of purge or heads, where it is a mapping")
	p.section(reflect.TypeFor[Receiver](), "", false)
	p.heading("repositories.NAME")
	p.section(reflect.TypeFor[Repository](), "", false)
	p.heading("an entry of upstreams, where it is a mapping")
	p.section(reflect.TypeFor[Upstream](), "", false)
	for _, f := range formats {
		info := f.Info()
		if len(info.Options) == 0 {
			continue
		}
		p.heading("repositories.NAME where format is " + info.Name + ", or one of its upstreams")
		for _, o := range info.Options {
			p.key("", key{o.Name, "text", o.Default, o.Help}, "")
		}
	}
	p.heading("rules")
	p.line("%s", strings.TrimSpace(policy.Help()))
	return p.err
}

// A printer prints lines until one fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) heading(text string) {
	p.line("%s", text)
	p.line("%s", strings.Repeat("-", len(text)))
	p.line("")
}

// section prints the settings of a struct type, and of those within it.
func (p *printer) section(t reflect.Type, path string, over bool) {
	keys, err := keysOf(t)
	if err != nil {
		p.err = err
		return
	}
	for i, k := range keys {
		at := join(path, k.name)
		name := ""
		inner := t.Field(fieldsOf(t)[i].index).Type
		if over && inner.Kind() != reflect.Struct && !manyStructs(inner) {
			name = variable(at)
		}
		if at == "tls" {
			name = variable(at)
		}
		p.key(path, k, name)
		if inner.Kind() == reflect.Struct {
			p.section(inner, at, over)
		}
	}
}

// key prints one setting.
func (p *printer) key(path string, k key, variable string) {
	said := []string{k.words}
	if k.standard != "" {
		said = append(said, "default "+k.standard)
	}
	if variable != "" {
		said = append(said, variable)
	}
	p.line("%s: %s", join(path, k.name), strings.Join(said, " · "))
	for _, l := range wrap(k.comment, 110) {
		p.line("    %s", l)
	}
	p.line("")
}

// wrap breaks text into lines of at most width characters, words permitting.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

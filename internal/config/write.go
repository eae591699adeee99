package config

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"millpond/policy"
)

// Write renders the configuration as a file that Load reads back as the same, with the meaning of each key beside it; what
// is at its default stands there as a comment. Passwords and tokens of upstreams are not written: a variable stands in
// their place, and a comment says so.
func Write(w io.Writer, c *Config) error {
	p := &printer{w: w}
	p.line("# millpond's configuration. \"millpond help config\" explains every key, \"millpond config check\" reads this file.")
	p.line("")
	keys, err := keysOf(reflect.TypeFor[Config]())
	if err != nil {
		return err
	}
	v := reflect.ValueOf(c).Elem()
	for i, f := range fieldsOf(v.Type()) {
		for _, l := range wrap(keys[i].comment, 110) {
			p.line("# %s", l)
		}
		p.setting(v.Field(f.index), keys[i])
		p.line("")
	}
	return p.err
}

// setting writes one key of the whole.
func (p *printer) setting(v reflect.Value, k key) {
	switch value := v.Interface().(type) {
	case TLS:
		p.tls(&value)
	case Auth:
		p.auth(&value)
	case []Feed:
		p.feeds(k.name, value)
	case []Receiver:
		p.receivers(k.name, value)
	case []Repository:
		p.line("repositories:")
		for i := range value {
			p.repository(&value[i])
		}
		if len(value) == 0 {
			p.line("  {}")
		}
	case []string:
		if len(value) == 0 {
			p.line("#%s: []", k.name)
			return
		}
		p.line("%s: %s", k.name, flow(value))
	default:
		if v.Kind() == reflect.Struct {
			p.group(v, k.name)
			return
		}
		text := plainText(v)
		if standard := k.standard; text == standard || text == "" || text == `""` {
			p.line("#%s: %s", k.name, strings.TrimSpace(text))
			return
		}
		p.line("%s: %s", k.name, text)
	}
}

// group writes a mapping of simple values.
func (p *printer) group(v reflect.Value, name string) {
	keys, err := keysOf(v.Type())
	if err != nil {
		p.err = err
		return
	}
	changed := false
	for i, f := range fieldsOf(v.Type()) {
		changed = changed || plainText(v.Field(f.index)) != keys[i].standard
	}
	mark := "#"
	if changed {
		mark = ""
	}
	p.line("%s%s:", mark, name)
	for i, f := range fieldsOf(v.Type()) {
		mark := "#"
		if plainText(v.Field(f.index)) != keys[i].standard {
			mark = ""
		}
		p.line("%-22s # %s", mark+"  "+keys[i].name+": "+plainText(v.Field(f.index)), keys[i].comment)
	}
}

func (p *printer) repository(r *Repository) {
	p.line("  %s:", scalar(r.Name))
	p.line("    format: %s", scalar(r.Format))
	if len(r.Upstreams) == 0 {
		p.line("    upstreams: []")
	} else {
		p.line("    upstreams:")
	}
	for i := range r.Upstreams {
		owner := r.Name // of its secrets
		if i > 0 {
			owner += "_" + strconv.Itoa(i+1)
		}
		p.upstream(&r.Upstreams[i], owner)
	}
	if len(r.Claims) > 0 {
		p.line("    claims: %s", flow(r.Claims))
	} else {
		p.line("    #claims: [acme-*]")
	}
	if len(r.Host) > 0 {
		p.line("    host: %s", flow(r.Host))
	}
	if r.Root {
		p.line("    root: true")
	}
	if r.Listen != "" {
		p.line("    listen: %s", scalar(r.Listen))
	}
	if len(r.Tunnels) > 0 {
		p.line("    tunnels: %s", flow(r.Tunnels))
	}
	if r.Merge != "" && r.Merge != "hide" {
		p.line("    merge: %s", scalar(r.Merge))
	}
	switch {
	case len(r.Fill) == 1 && r.Fill[0].Pattern == "*":
		p.line("    fill: %s", scalar(r.Fill[0].Mode))
	case len(r.Fill) > 0:
		p.line("    fill:")
		for _, f := range r.Fill {
			p.line("      - %s: %s", scalar(f.Pattern), scalar(f.Mode))
		}
	}
	if r.Read != nil {
		p.line("    read: %s", flow(r.Read))
	}
	for _, list := range []struct {
		key      string
		subjects []string
	}{{"publish", r.Publish}, {"maintain", r.Maintain}, {"own", r.Own}} {
		if len(list.subjects) > 0 {
			p.line("    %s: %s", list.key, flow(list.subjects))
		}
	}
	if !r.Hosted {
		p.line("    hosted: false")
	}
	if r.Volatile {
		p.line("    volatile: true")
	}
	if r.Unpublish {
		p.line("    unpublish: true")
	}
	if r.ClaimedOnly {
		p.line("    claimed_only: true")
	}
	if r.MaxFile != defaultMaxFile {
		p.line("    max_file: %s", policy.FormatSize(int64(r.MaxFile)))
	}
	p.rules(r.Rules)
	if r.Fresh > 0 {
		p.line("    fresh: %s", policy.FormatDuration(r.Fresh))
	}
	if r.Absent > 0 {
		p.line("    absent: %s", policy.FormatDuration(r.Absent))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Options)) {
		p.line("    %s: %s", scalar(name), scalar(r.Options[name]))
	}
}

// rules writes rules through the YAML library: they are its own kind of values.
func (p *printer) rules(rules []map[string]any) {
	if len(rules) == 0 {
		p.line("    #rules:")
		p.line("    #  - hold: 7d")
		return
	}
	p.line("    rules:")
	for _, rule := range rules {
		first, rest := map[string]any{}, map[string]any{}
		for k, v := range escaped(rule).(map[string]any) {
			if policy.IsRule(k) {
				first[k] = v
			} else {
				rest[k] = v
			}
		}
		mark := "      - "
		for _, part := range []map[string]any{first, rest} {
			if len(part) == 0 {
				continue
			}
			text, err := yaml.Dump(part, yaml.WithLineWidth(-1))
			if err != nil {
				p.err = cmp.Or(p.err, err)
				return
			}
			for line := range strings.Lines(string(text)) {
				p.line("%s%s", mark, strings.TrimRight(line, "\n"))
				mark = "        "
			}
		}
	}
}

// escaped is a value whose texts mean themselves when they are read back.
func escaped(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "${", "$${")
	case time.Time:
		return v.Format(time.RFC3339)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = escaped(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k := range v {
			out[k] = escaped(v[k])
		}
		return out
	}
	return v
}

// upstream writes one upstream: a URL alone, if that is all there is.
func (p *printer) upstream(u *Upstream, owner string) {
	found := ""
	if u.From != "" {
		found = " # " + oneLine(u.From)
	}
	var settings [][2]string
	v := reflect.ValueOf(u).Elem()
	for _, f := range fieldsOf(v.Type()) {
		if field := v.Field(f.index); !field.IsZero() && f.key != "url" {
			settings = append(settings, p.upstreamSetting(f.key, field, owner)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(u.Options)) {
		settings = append(settings, [2]string{name, scalar(u.Options[name])})
	}
	address, secret := withoutPassword(u.URL, secretName(owner, "password"))
	if secret {
		found += " # its password is read from the environment"
	}
	switch {
	case u.URL != "" && len(settings) == 0:
		p.line("      - %s%s", address, found)
		return
	case u.URL != "":
		settings = append([][2]string{{"url", address + found}}, settings...)
	}
	for i, s := range settings {
		mark := "  "
		if i == 0 {
			mark = "- "
		}
		p.line("      %s%s: %s", mark, s[0], s[1])
	}
}

func (p *printer) upstreamSetting(name string, v reflect.Value, owner string) [][2]string {
	switch value := v.Interface().(type) {
	case []string:
		if len(value) > 0 {
			return [][2]string{{name, flow(value)}}
		}
		return nil
	case map[string]string:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(value)) {
			parts = append(parts, scalar(k)+": \"${"+secretName(owner, k)+"}\"")
		}
		return [][2]string{{name, "{" + strings.Join(parts, ", ") + "} # from the environment"}}
	}
	if name == "password" || name == "token" || name == "session_token" {
		return [][2]string{{name, "${" + secretName(owner, name) + "} # from the environment"}}
	}
	return [][2]string{{name, plainText(v)}}
}

// secretName is the variable that stands for a secret of an upstream.
func secretName(owner, what string) string {
	upper := func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		}
		return '_'
	}
	name := strings.Map(upper, owner+"_"+what)
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// plainText is a simple value as the file has it.
func plainText(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return policy.FormatDuration(value)
	case Size:
		return policy.FormatSize(int64(value))
	case string:
		return scalar(value)
	case bool:
		return strconv.FormatBool(value)
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
	return fmt.Sprint(v.Interface())
}

// scalar is text as YAML reads it back: plain if it may be, else quoted.
func scalar(s string) string {
	s = strings.ReplaceAll(s, "${", "$${")
	plain := s != "" && s != "-"
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		switch {
		case letter, c == '/':
		case strings.IndexByte("-._+", c) >= 0 && i > 0:
		case c == ':' && i > 0 && i+1 < len(s):
		default:
			plain = false
		}
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		plain = false
	}
	if plain {
		return s
	}
	return quoted(s)
}

// quoted is text in double quotes, with YAML's escapes.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029 || c == 0xfeff:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func flow(list []string) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = scalar(s)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// oneLine is text fit for a comment.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == 0x85 || c == 0x2028 || c == 0x2029 {
			return ' '
		}
		return c
	}, s)
}

package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"millpond/format"
)

// reserved are variables of the same family that are no settings.
var reserved = map[string]bool{"config": true, "url": true, "token": true} // never changed

// variable is the environment's name of a setting: MILLPOND_LIMITS_MAX_BYTES.
func variable(key string) string {
	return "MILLPOND_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// variables takes in what the environment says.
func (c *Config) variables(env func(string) (string, bool), formats []format.Format) []error {
	var errs []error
	for _, key := range keysOver() {
		name := variable(key)
		if value, ok := env(name); ok && value != "" {
			if err := c.say(key, value, name, formats); err != nil {
				errs = append(errs, &problem{where: name, why: err.Error()})
			}
		}
	}
	for _, f := range formats {
		name := variable("upstream_" + f.Info().Name)
		value, _ := env(name)
		for one := range strings.FieldsSeq(value) {
			if err := c.say("upstream", f.Info().Name+"="+one, name, formats); err != nil {
				errs = append(errs, &problem{where: name, why: err.Error()})
			}
		}
	}
	return errs
}

// keysOver are the settings that can be given outside a file.
func keysOver() []string {
	keys := []string{"tls"}
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		for _, f := range fieldsOf(t) {
			switch kind := t.Field(f.index).Type; {
			case kind.Kind() == reflect.Struct:
				walk(kind, join(path, f.key))
			case !manyStructs(kind) && !reserved[join(path, f.key)]:
				keys = append(keys, join(path, f.key))
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	return keys
}

// say sets one setting from outside the file. from is who says it.
func (c *Config) say(key, value, from string, formats []format.Format) error {
	switch key {
	case "upstream":
		return c.sayUpstream(value, from, formats)
	case "tls":
		if value != "local" && value != "off" {
			return fmt.Errorf("it is local or off, not %q; a certificate is given by tls.cert and tls.key", value)
		}
		c.TLS, c.over[key] = TLS{Local: value == "local"}, from
		return nil
	}
	v := reflect.ValueOf(c).Elem()
	for part := range strings.SplitSeq(key, ".") {
		found := false
		if v.Kind() == reflect.Struct {
			for _, f := range fieldsOf(v.Type()) {
				if f.key == part {
					v, found = v.Field(f.index), true
					break
				}
			}
		}
		if !found {
			return fmt.Errorf("unknown setting %q%s", key, didYouMean(key, keysOver()))
		}
	}
	if v.Kind() == reflect.Struct || v.Type() == reflect.TypeFor[[]Repository]() {
		return errors.New("it can be set in a file only")
	}
	c.over[key] = from
	return set(v, value)
}

// sayUpstream gives the repositories of a format an upstream, or with "none" no upstream at all. The first URL replaces what
// was configured, further ones follow it. A format without a repository gets one.
func (c *Config) sayUpstream(value, from string, formats []format.Format) error {
	name, address, ok := strings.Cut(value, "=")
	if !ok || address == "" {
		return fmt.Errorf("FORMAT=URL is needed, not %q", value)
	}
	if formatNamed(formats, name) == nil {
		return fmt.Errorf("unknown format %q%s", name, didYouMean(name, formatNames(formats)))
	}
	found := false
	for i := range c.Repos {
		r := &c.Repos[i]
		if r.Format != name {
			continue
		}
		found = true
		key := "repositories." + r.Name + ".upstreams"
		if c.over[key] != from {
			r.Upstreams, c.over[key] = nil, from
		}
		r.told = true
		if address != "none" {
			r.Upstreams = append(r.Upstreams, Upstream{URL: address, Options: map[string]string{}})
		}
	}
	if !found {
		c.Repos = append(c.Repos, newRepository(name, name))
		return c.sayUpstream(value, from, formats)
	}
	return nil
}

func formatNamed(formats []format.Format, name string) format.Format {
	for _, f := range formats {
		if f.Info().Name == name {
			return f
		}
	}
	return nil
}

func formatNames(formats []format.Format) []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.Info().Name
	}
	return names
}

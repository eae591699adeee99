package maven

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"millpond"
	"millpond/format"
)

// adopt reads what the installed Maven is set up with: its settings files, and for the repository that it asks if they name none
// the POM that all POMs inherit from, inside Maven's own jar.
func adopt(ctx context.Context, env format.Machine) ([]format.Adopted, error) {
	said, err := env.Run(ctx, "mvn", "-B", "-v")
	if millpond.Is(err, millpond.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask mvn where it is: %w", err)
	}
	version, home := installation(said)
	if home == "" {
		return nil, fmt.Errorf("mvn -v does not say where Maven is: %.200q", said)
	}
	var all settings
	for _, path := range []string{"~/.m2/settings.xml", home + "/conf/settings.xml"} {
		text, err := env.ReadFile(path)
		if err != nil {
			continue // there need be none
		}
		s, err := readSettings(text, env.Getenv)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		s.from = path
		all = append(all, s)
	}
	repositories := all.repositories()
	if !has(repositories, "central") {
		for _, jar := range []string{version, strings.SplitN(version, ".", 2)[0] + ".x"} {
			text, err := env.ReadFile(home + "/lib/maven-model-builder-" + jar + ".jar")
			if err != nil {
				continue
			}
			repositories = append(repositories, superPOM(text)...)
			break
		}
	}
	return all.adopted(repositories), nil
}

// installation reads what mvn -v says, without the colours.
func installation(said string) (version, home string) {
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if _, after, ok := strings.Cut(line, "Apache Maven "); ok && version == "" {
			version = strings.TrimRight(strings.Fields(after + " ?")[0], "\x1b[m")
		}
		if after, ok := strings.CutPrefix(line, "Maven home: "); ok {
			home = strings.TrimSpace(after)
		}
	}
	return version, home
}

// superPOM are the repositories of the POM that all POMs inherit from.
func superPOM(jar []byte) []setRepository {
	z, err := zip.NewReader(bytes.NewReader(jar), int64(len(jar)))
	if err != nil {
		return nil
	}
	f, err := z.Open("org/apache/maven/model/pom-4.0.0.xml")
	if err != nil {
		return nil
	}
	defer f.Close()
	var all []setRepository
	var one setRepository
	walk(io.LimitReader(f, pomLimit), func(path, text string) { // what of it cannot be read names nothing
		switch path {
		case "project/repositories/repository/id":
			one.id = text
		case "project/repositories/repository/url":
			one.url = text
		case "project/repositories/repository":
			one.from = "the POM that all inherit from"
			all = append(all, one)
			one = setRepository{}
		}
	})
	return all
}

// settings are the settings files, the most specific first.
type settings []setting

// A setting is what the house reads of one settings file.
type setting struct {
	from     string
	mirrors  []setMirror
	servers  []setServer
	profiles []setProfile
	active   []string
}

type setMirror struct {
	id, url, of string
	blocked     bool
}

type setServer struct{ id, username, password string }

type setProfile struct {
	id           string
	byDefault    bool
	repositories []setRepository
}

type setRepository struct{ id, url, from string }

func readSettings(text []byte, getenv func(string) string) (s setting, err error) {
	var m setMirror
	var v setServer
	var p setProfile
	var r setRepository
	err = walk(bytes.NewReader(text), func(path, text string) {
		text = withEnv(text, getenv)
		switch path {
		case "settings/mirrors/mirror/id":
			m.id = text
		case "settings/mirrors/mirror/url":
			m.url = text
		case "settings/mirrors/mirror/mirrorOf":
			m.of = text
		case "settings/mirrors/mirror/blocked":
			m.blocked = text == "true"
		case "settings/mirrors/mirror":
			s.mirrors = append(s.mirrors, m)
			m = setMirror{}
		case "settings/servers/server/id":
			v.id = text
		case "settings/servers/server/username":
			v.username = text
		case "settings/servers/server/password":
			v.password = text
		case "settings/servers/server":
			s.servers = append(s.servers, v)
			v = setServer{}
		case "settings/profiles/profile/id":
			p.id = text
		case "settings/profiles/profile/activation/activeByDefault":
			p.byDefault = text == "true"
		case "settings/profiles/profile/repositories/repository/id", "settings/profiles/profile/pluginRepositories/pluginRepository/id":
			r.id = text
		case "settings/profiles/profile/repositories/repository/url", "settings/profiles/profile/pluginRepositories/pluginRepository/url":
			r.url = text
		case "settings/profiles/profile/repositories/repository", "settings/profiles/profile/pluginRepositories/pluginRepository":
			p.repositories = append(p.repositories, r)
			r = setRepository{}
		case "settings/profiles/profile":
			s.profiles = append(s.profiles, p)
			p = setProfile{}
		case "settings/activeProfiles/activeProfile":
			s.active = append(s.active, text)
		}
	})
	return s, err
}

// withEnv puts the values of the environment in the place of ${env.NAME}.
func withEnv(text string, getenv func(string) string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "${env.")
		name, after, end := strings.Cut(rest, "}")
		if b.WriteString(before); !ok || !end {
			return b.String()
		}
		b.WriteString(getenv(name))
		text = after
	}
}

// repositories are those of the active profiles, in order.
func (all settings) repositories() []setRepository {
	active := map[string]bool{}
	for _, s := range all {
		for _, id := range s.active {
			active[id] = true
		}
	}
	var out []setRepository
	seen := map[string]bool{}
	for _, s := range all {
		for _, p := range s.profiles {
			if seen[p.id] || !active[p.id] && (!p.byDefault || len(active) > 0) {
				continue
			}
			seen[p.id] = true
			for _, r := range p.repositories {
				r.from = s.from
				if r.id != ourID && !has(out, r.id) {
					out = append(out, r)
				}
			}
		}
	}
	return out
}

func has(all []setRepository, id string) bool {
	for _, r := range all {
		if r.id == id {
			return true
		}
	}
	return false
}

// adopted are the upstreams that repositories come to, through the mirrors.
func (all settings) adopted(repositories []setRepository) []format.Adopted {
	var out []format.Adopted
	var notes []string
	seen := map[string]bool{}
	for _, r := range repositories {
		at, id, from := r.url, r.id, r.from
		if m, where := all.mirrorOf(r); m != nil {
			at, id, from = m.url, m.id, where+", mirror "+m.id
			if m.blocked {
				notes = append(notes, r.id+" was dropped: the settings block it")
				continue
			}
		}
		a, ok := format.Adopt(at)
		if !ok {
			notes = append(notes, fmt.Sprintf("%s was dropped: it is no http or https address", id))
			continue
		}
		a.From = from
		if v := all.server(id); v != nil && strings.HasPrefix(v.password, "{") {
			notes = append(notes, "the password of "+id+" is encrypted: write it into the pond's configuration")
		} else if v != nil && v.username != "" {
			a.Username, a.Password = v.username, v.password
		}
		if seen[a.URL] {
			continue
		}
		seen[a.URL] = true
		out = append(out, a)
	}
	note := strings.Join(notes, "; ")
	switch {
	case len(out) > 0:
		out[0].Note = note
	case note != "":
		out = []format.Adopted{{From: "Maven's settings", Note: note}}
	}
	return out
}

func (all settings) server(id string) *setServer {
	for _, s := range all {
		for i := range s.servers {
			if s.servers[i].id == id {
				return &s.servers[i]
			}
		}
	}
	return nil
}

// mirrorOf is the mirror that Maven asks instead of a repository: one that names it, else the first whose pattern covers it.
func (all settings) mirrorOf(r setRepository) (*setMirror, string) {
	for _, exact := range []bool{true, false} {
		for _, s := range all {
			for i := range s.mirrors {
				m := &s.mirrors[i]
				if m.id == ourID {
					continue // what a pond was set up with is no upstream of a pond
				}
				if exact && m.of == r.id || !exact && covers(m.of, r) {
					return m, s.from
				}
			}
		}
	}
	return nil, ""
}

// covers reads a mirrorOf: "*", "external:*", "external:http:*", ids, and "!id" for what it does not cover.
func covers(of string, r setRepository) bool {
	u, err := url.Parse(r.url)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	external := u.Scheme != "file" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
	found := false
	for one := range strings.SplitSeq(of, ",") {
		switch one = strings.TrimSpace(one); {
		case one == "!"+r.id:
			return false
		case one == r.id:
			return true
		case one == "*", one == "external:*" && external, one == "external:http:*" && external && u.Scheme == "http":
			found = true
		}
	}
	return found
}

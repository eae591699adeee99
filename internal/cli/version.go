package cli

import (
	"runtime"
	"runtime/debug"
)

type versionCommand struct{ output }

// Run prints the version.
func (c *versionCommand) Run(p *Process) error {
	said := struct {
		Version string `json:"version"`
		Go      string `json:"go"`
	}{p.Version, runtime.Version()}
	return c.show(p, said, func(row func(...any)) { row("millpond " + p.Version) })
}

// BuildVersion is the version that the linker was given, else what the build knows of the sources.
func BuildVersion(linked string) string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	v := "devel"
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v += "-" + s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				v += "-changed"
			}
		}
	}
	return v
}

package rubygems

import "strings"

// A platform is what Gem::Platform makes of a name.
type platform struct{ cpu, os, version string }

// readPlatform reads "x86_64-linux", "java", "universal-darwin-20", "x86_64-linux-musl".
func readPlatform(name string) platform {
	parts := strings.Split(name, "-")
	if len(parts) == 1 {
		return platform{os: name}
	}
	p := platform{cpu: parts[0]}
	if last := parts[len(parts)-1]; len(parts) > 2 && (strings.Trim(last, "0123456789.") == "" || parts[1] == "linux" || parts[1] == "mingw") {
		p.version, parts = last, parts[:len(parts)-1]
	}
	p.os = strings.Join(parts[1:], "-")
	return p
}

// String is the platform's name.
func (p platform) String() string {
	var parts []string
	for _, one := range [...]string{p.cpu, p.os, p.version} {
		if one != "" {
			parts = append(parts, one)
		}
	}
	return strings.Join(parts, "-")
}

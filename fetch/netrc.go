package fetch

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// netrcFor is what the user's netrc file says of a URL's host. A machine with a port means that port only. The default
// entry is for people at a terminal and is not used.
func netrcFor(u *url.URL) (login, password string, err error) {
	name := os.Getenv("NETRC")
	if name == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", "", nil // nobody's home: no netrc
		}
		name = filepath.Join(home, ".netrc")
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", err
	}
	login, password = parseNetrc(string(b), u)
	return login, password, nil
}

// parseNetrc finds the first entry of a host in the text of a netrc file.
func parseNetrc(text string, u *url.URL) (login, password string) {
	var words []string
	macro := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if macro { // a macro ends at an empty line
			macro = line != ""
			continue
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		for i, f := range fields {
			if f == "macdef" && (i == 0 || !takesValue(fields[i-1])) {
				fields, macro = fields[:i], true
				break
			}
		}
		words = append(words, fields...)
	}
	found := false
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "machine", "default":
			if found {
				return login, password
			}
			if words[i] == "machine" && i+1 < len(words) {
				i++
				found = strings.EqualFold(words[i], u.Hostname()) || strings.EqualFold(words[i], hostPort(u))
			}
		case "login", "password", "account":
			if i+1 == len(words) {
				return login, password
			}
			key := words[i]
			i++
			if found && key == "login" {
				login = words[i]
			}
			if found && key == "password" {
				password = words[i]
			}
		}
	}
	return login, password
}

func takesValue(word string) bool {
	return word == "machine" || word == "login" || word == "password" || word == "account"
}

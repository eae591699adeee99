package format

import (
	"context"
	"net/url"
	"strings"
)

// A Configurer is a Format that sets up the clients of its ecosystem. It changes nothing itself: it says what is to be
// changed, so that whoever does it can show it first, remember what was there, and put it back.
type Configurer interface {
	// Clients are the clients it can set up, most usual first.
	Clients() []string
	// Configure says what is to be changed for one of its clients. It asks m where the client keeps its settings: NotFound if
	// only the client itself knows and it is not installed, Unsupported if the client cannot do what is asked for.
	Configure(ctx context.Context, m Machine, s ClientSetup) ([]Rewrite, error)
}

// A ClientSetup is what a client shall be set up with.
type ClientSetup struct {
	Client string
	Base   *url.URL // the repository, ending in a slash
	CA     string   // a file with the authority to trust for Base, by its whole path; "" if those of the machine do
	Token  string   // to be sent; "" if the repository is read and never written by this client, by anybody
	// Read reads a small document of the repository, by its path below Base, as whoever sets the client up.
	Read func(ctx context.Context, path string) ([]byte, error)
}

// A Rewrite is one file of a client's that changes, by the client's own command or, where it has none, by Edit.
type Rewrite struct {
	File string // "~" is the user's home
	// Run is the command that changes the file; nil if Edit does it. It holds no secret: others can see it run.
	Run []string
	// Edit is the new text of the file made of the old; "" if there was none. It gives back what it is given if nothing
	// is to be changed, so that doing it twice is doing it once.
	Edit func(before string) (string, error)
	// Trusts says that this makes the client trust ClientSetup.CA, or that Note tells how: not every client keeps such a setting.
	Trusts bool
	// Secret says that the file holds a secret afterwards: it is to be readable by its owner only.
	Secret bool
	Note   string // what to know about it; "" if nothing
}

// EditNetrc gives a machine its login in the text of a netrc file, instead of the one it has there.
func EditNetrc(text, machine, login, password string) string {
	entry := "machine " + machine + " login " + login + " password " + password + "\n"
	var out strings.Builder
	skipping, done := false, false
	for line := range strings.Lines(text) {
		switch fields := strings.Fields(line); {
		case len(fields) >= 2 && fields[0] == "machine":
			if skipping = fields[1] == machine; skipping && !done {
				out.WriteString(entry)
				done = true
			}
		case len(fields) > 0 && (fields[0] == "default" || fields[0] == "macdef"):
			if skipping = false; fields[0] == "default" && !done { // what stands behind it is never reached
				out.WriteString(entry)
				done = true
			}
		}
		if !skipping {
			out.WriteString(line)
		}
	}
	if done {
		return out.String()
	}
	return WithEnd(out.String()) + entry
}

// EditKey gives a key its line in a text of sections, as ini and TOML files are: "[a]", then "key = value" lines. Section ""
// is what stands before the first one. The line is what stands there from then on, whole; "" removes it. A section that is
// not there is added.
func EditKey(text, section, key, line string) string {
	var out []string
	at, done := "", false
	last := -1 // behind the last line of the section that is no blank
	if section == "" {
		last = 0
	}
	for old := range strings.Lines(text) {
		plain := strings.TrimSpace(old)
		if strings.HasPrefix(plain, "[") {
			at, _, _ = strings.Cut(plain, "#")
			at = strings.TrimSpace(at)
		}
		if at == bracket(section) && keyOf(old) == key {
			if done || line == "" {
				continue
			}
			old, done = line+"\n", true
		}
		out = append(out, old)
		if at == bracket(section) && plain != "" {
			last = len(out)
		}
	}
	switch {
	case done || line == "":
		return strings.Join(out, "")
	case last < 0:
		head := WithEnd(strings.Join(out, ""))
		if head != "" {
			head += "\n"
		}
		return head + bracket(section) + "\n" + line + "\n"
	}
	return WithEnd(strings.Join(out[:last], "")) + line + "\n" + strings.Join(out[last:], "")
}

// KeyIn is the value of a key of a text of sections, as EditKey reads it; "" if it is not there.
func KeyIn(text, section, key string) string {
	at := ""
	for line := range strings.Lines(text) {
		plain := strings.TrimSpace(line)
		if strings.HasPrefix(plain, "[") {
			at, _, _ = strings.Cut(plain, "#")
			at = strings.TrimSpace(at)
		}
		if at == bracket(section) && keyOf(line) == key {
			return strings.TrimSpace(plain[strings.IndexAny(plain, "=:")+1:])
		}
	}
	return ""
}

// keyOf is what a line gives a value to: "key = value", or "key: value" where there is no equals sign before the colon. A
// key may have colons in it, as npm's do, if it stands before an equals sign.
func keyOf(line string) string {
	if line == "" || strings.ContainsAny(line[:1], " \t#;[") {
		return ""
	}
	if key, _, ok := strings.Cut(line, "="); ok && (!strings.Contains(key, ": ")) {
		return strings.TrimSpace(key)
	}
	if key, _, ok := strings.Cut(line, ":"); ok {
		return strings.TrimSpace(key)
	}
	return ""
}

func bracket(section string) string {
	if section == "" {
		return ""
	}
	return "[" + section + "]"
}

// WithEnd is the text with its last line ended.
func WithEnd(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

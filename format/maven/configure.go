package maven

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"strings"

	"millpond"
	"millpond/format"
)

var _ format.Configurer = Format{}

// Clients implements format.Configurer.
func (Format) Clients() []string { return []string{"mvn", "gradle"} }

// ourID is the id of what is ours in a settings file.
const ourID = "millpond"

// Configure implements format.Configurer. Neither client writes its own settings.
func (Format) Configure(_ context.Context, _ format.Machine, s format.ClientSetup) ([]format.Rewrite, error) {
	switch s.Client {
	case "mvn":
		return []format.Rewrite{{File: "~/.m2/settings.xml", Secret: s.Token != "", Edit: func(before string) (string, error) {
			return editSettings(before, s.Base, s.Token)
		}}}, nil
	case "gradle":
		if s.Token != "" {
			return nil, &millpond.Error{Kind: millpond.Unsupported, Why: "a token for gradle belongs into the project's own build",
				Hint: "set gradle up without a token, and give 'credentials' in build.gradle from ~/.gradle/gradle.properties"}
		}
		return []format.Rewrite{{File: "~/.gradle/init.d/millpond.gradle", Edit: func(string) (string, error) { return initScript(s.Base), nil }}}, nil
	}
	return nil, &millpond.Error{Kind: millpond.Unsupported, Why: fmt.Sprintf("%q is not set up here", s.Client), Hint: "mvn and gradle are"}
}

// ours are the elements that a settings file gets, by the section they belong to.
func ours(base *url.URL, token string) [][2]string {
	at := escaped(strings.TrimSuffix(base.String(), "/"))
	repository := "<id>" + ourID + "</id><url>" + at + "</url><releases><enabled>true</enabled></releases><snapshots><enabled>true</enabled></snapshots>"
	all := [][2]string{
		{"mirrors", "<mirror><id>" + ourID + "</id><mirrorOf>*</mirrorOf><url>" + at + "</url></mirror>"},
		{"profiles", "<profile><id>" + ourID + "</id>\n      <repositories><repository>" + repository + "</repository></repositories>\n" +
			"      <pluginRepositories><pluginRepository>" + repository + "</pluginRepository></pluginRepositories></profile>"},
		{"activeProfiles", "<activeProfile>" + ourID + "</activeProfile>"},
	}
	if token != "" {
		all = append(all, [2]string{"servers", "<server><id>" + ourID + "</id><username>" + ourID + "</username><password>" + escaped(token) + "</password></server>"})
	}
	return all
}

func escaped(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s)) // a buffer does not fail
	return b.String()
}

// settingsFor is a settings file for a computer that has none.
func settingsFor(base *url.URL, token string) string {
	text, err := editSettings("", base, token)
	if err != nil {
		return "" // of an empty file all can be read
	}
	return text
}

// editSettings puts what is ours into the text of a settings file, in place of what was ours, and leaves the rest as it is.
func editSettings(text string, base *url.URL, token string) (string, error) {
	if strings.TrimSpace(text) == "" {
		text = "<settings>\n</settings>\n"
	}
	for _, one := range ours(base, token) {
		var err error
		if text, err = putElement(text, one[0], one[1]); err != nil {
			return "", fmt.Errorf("settings.xml: %w", err)
		}
	}
	return text, nil
}

// putElement puts an element first into a section of a settings file, in place of the one there with our id.
func putElement(text, section, element string) (string, error) {
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = charset
	type span struct{ from, to int64 }
	var path []string
	var inside, tag, child, old, start, root span
	ours := false // the child has our id
	var chars strings.Builder
	for {
		from := d.InputOffset()
		token, err := d.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		at := func(names ...string) bool {
			return len(path) == len(names) && strings.Join(path, "/") == strings.Join(names, "/")
		}
		switch t := token.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
			chars.Reset()
			switch {
			case at("settings"):
				start = span{from, d.InputOffset()}
			case at("settings", section) && tag.to == 0:
				tag = span{from, d.InputOffset()}
				inside.from = d.InputOffset()
			case len(path) == 3 && path[1] == section:
				child, ours = span{from: from}, false
			}
		case xml.CharData:
			chars.Write(t)
		case xml.EndElement:
			word := strings.TrimSpace(chars.String())
			switch {
			case len(path) == 4 && path[1] == section && path[3] == "id" && word == ourID, len(path) == 3 && path[2] == "activeProfile" && word == ourID:
				ours = true
			}
			switch {
			case len(path) == 3 && path[1] == section && ours:
				old = span{child.from, d.InputOffset()}
			case at("settings", section):
				inside.to = from
			case at("settings"):
				root.to = from
			}
			if len(path) == 0 {
				return "", fmt.Errorf("</%s> ends what was not begun", t.Name.Local)
			}
			path = path[:len(path)-1]
			chars.Reset()
		}
	}
	whole := "  <" + section + ">\n    " + element + "\n  </" + section + ">\n"
	switch {
	case old.to > 0:
		return text[:old.from] + element + text[old.to:], nil
	case tag.to > 0 && strings.HasSuffix(text[tag.from:tag.to], "/>"):
		return text[:tag.from] + "<" + section + ">\n    " + element + "\n  </" + section + ">" + text[tag.to:], nil
	case tag.to > 0:
		return text[:inside.from] + "\n    " + element + text[inside.from:], nil
	case start.to > 0 && strings.HasSuffix(text[start.from:start.to], "/>"):
		return strings.TrimRight(text[:start.to-2], " ") + ">\n" + whole + "</settings>" + text[start.to:], nil
	case root.to > 0:
		return text[:root.to] + whole + text[root.to:], nil
	}
	return "", fmt.Errorf("it has no <settings>")
}

// initScript makes every build of Gradle read plugins and dependencies through the repository.
func initScript(base *url.URL) string {
	insecure := ""
	if base.Scheme == "http" {
		insecure = "; allowInsecureProtocol = true"
	}
	at := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(strings.TrimSuffix(base.String(), "/"))
	return `// Every build reads through the pond.
def pond = { it.maven { url = uri('` + at + `')` + insecure + ` } }
beforeSettings { settings ->
    settings.pluginManagement.repositories(pond)
    settings.dependencyResolutionManagement.repositories(pond)
}
`
}

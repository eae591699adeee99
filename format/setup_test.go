package format

import "testing"

func TestEditNetrc(t *testing.T) {
	const entry = "machine pond login ci password new\n"
	for _, c := range []struct{ name, before, want string }{
		{"no file", "", entry},
		{"other machines", "machine a login b password c", "machine a login b password c\n" + entry},
		{"its own on one line", "machine a login b password c\nmachine pond login x password old\n", "machine a login b password c\n" + entry},
		{"its own on several lines", "machine pond\n  login x\n  password old\n\nmachine a login b password c\n", entry + "machine a login b password c\n"},
		{"twice", "machine pond password old\nmachine pond password older\n", entry},
		{"before the default", "default login anonymous password x\n", entry + "default login anonymous password x\n"},
		{"a longer name", "machine pond.example password x\n", "machine pond.example password x\n" + entry},
		{"there already", entry, entry},
	} {
		if got := EditNetrc(c.before, "pond", "ci", "new"); got != c.want {
			t.Errorf("%s: got\n%q, want\n%q, of\n%q", c.name, got, c.want, c.before)
		}
	}
}

func TestEditKey(t *testing.T) {
	for _, c := range []struct{ name, before, section, key, line, want string }{
		{"no file", "", "", "registry", "registry=x", "registry=x\n"},
		{"no file, a section", "", "install", "registry", "registry = x", "[install]\nregistry = x\n"},
		{"other keys and comments stay", "# mine\nfund=false\nregistry=old\nage=1\n", "", "registry", "registry=x", "# mine\nfund=false\nregistry=x\nage=1\n"},
		{"at the end of the section", "a=1\n\n[b]\nc=2", "", "registry", "registry=x", "a=1\nregistry=x\n\n[b]\nc=2"},
		{"the same key elsewhere", "[a]\nurl = 1\n[b]\nurl = 2\n", "b", "url", "url = 3", "[a]\nurl = 1\n[b]\nurl = 3\n"},
		{"a new section", "[a]\nurl = 1", "b", "url", "url = 3", "[a]\nurl = 1\n\n[b]\nurl = 3\n"},
		{"twice", "k=1\nk=2\n", "", "k", "k=3", "k=3\n"},
		{"removed", "k=1\nl=2\n", "", "k", "", "l=2\n"},
		{"a key with colons", "//pond/npm/:_authToken=old\n", "", "//pond/npm/:_authToken", "//pond/npm/:_authToken=new", "//pond/npm/:_authToken=new\n"},
		{"yaml", "npmRegistryServer: \"https://a/?b=c\"\nother:\n  npmRegistryServer: no\n", "", "npmRegistryServer", "npmRegistryServer: x", "npmRegistryServer: x\nother:\n  npmRegistryServer: no\n"},
		{"commented out", "#k=1\n", "", "k", "k=2", "#k=1\nk=2\n"},
	} {
		got := EditKey(c.before, c.section, c.key, c.line)
		if got != c.want {
			t.Errorf("%s: got\n%q, want\n%q, of\n%q", c.name, got, c.want, c.before)
		}
		if again := EditKey(got, c.section, c.key, c.line); again != got {
			t.Errorf("%s: a second time gives\n%q, want no change of\n%q", c.name, again, got)
		}
	}
	if got := KeyIn("[a]\nk = 1\n[b]\nk = 2\n", "b", "k"); got != "2" {
		t.Errorf("KeyIn = %q, want 2", got)
	}
}

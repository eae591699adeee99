package maven

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"millpond"
	"millpond/format"
)

// A machine is a computer with these files, on which mvn says this.
type machine struct {
	mvn   string // "" is not installed
	files map[string]string
	env   map[string]string
}

func (m machine) Run(_ context.Context, name string, args ...string) (string, error) {
	if name != "mvn" || m.mvn == "" {
		return "", &millpond.Error{Kind: millpond.NotFound, Err: exec.ErrNotFound}
	}
	return m.mvn, nil
}

func (m machine) Getenv(key string) string { return m.env[key] }

func (m machine) ReadFile(path string) ([]byte, error) {
	if text, ok := m.files[path]; ok {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}

const mvnSays = "\x1b[1mApache Maven 3.8.7\x1b[m\nMaven home: /opt/maven\nJava version: 17\n"

// superPOMJar is Maven's jar with the POM that all inherit from.
func superPOMJar(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("org/apache/maven/model/pom-4.0.0.xml")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, `<project><repositories><repository><id>central</id><url>https://upstream.example/maven2</url></repository></repositories></project>`)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAdopt(t *testing.T) {
	const jar, mine, global = "/opt/maven/lib/maven-model-builder-3.8.7.jar", "~/.m2/settings.xml", "/opt/maven/conf/settings.xml"
	central := format.Adopted{URL: "https://upstream.example/maven2/", From: "the POM that all inherit from"}
	blocker := `<mirrors><mirror><id>blocker</id><mirrorOf>external:http:*</mirrorOf><url>http://0.0.0.0/</url><blocked>true</blocked></mirror></mirrors>`
	for _, c := range []struct {
		name string
		m    machine
		want []format.Adopted
	}{
		{"not installed", machine{}, nil},
		{"nothing set up", machine{mvn: mvnSays, files: map[string]string{jar: superPOMJar(t), global: "<settings>" + blocker + "</settings>"}}, []format.Adopted{central}},
		{"Debian's name of the jar", machine{mvn: mvnSays, files: map[string]string{"/opt/maven/lib/maven-model-builder-3.x.jar": superPOMJar(t)}}, []format.Adopted{central}},
		{"a mirror of all with a login", machine{mvn: mvnSays, env: map[string]string{"PW": "secret"}, files: map[string]string{jar: superPOMJar(t), mine: `<settings>
			<mirrors><mirror><id>corp</id><mirrorOf>*</mirrorOf><url>https://mirror.example/all</url></mirror></mirrors>
			<servers><server><id>corp</id><username>ci</username><password>${env.PW}</password></server></servers></settings>`}},
			[]format.Adopted{{URL: "https://mirror.example/all/", From: mine + ", mirror corp", Username: "ci", Password: "secret"}}},
		{"repositories of an active profile, one mirrored, one blocked", machine{mvn: mvnSays, files: map[string]string{jar: superPOMJar(t), global: "<settings>" + blocker + "</settings>", mine: `<settings>
			<mirrors><mirror><id>m</id><mirrorOf>*,!central,!plain</mirrorOf><url>https://mirror.example/m/</url></mirror></mirrors>
			<servers><server><id>m</id><username>u</username><password>{encrypted=}</password></server></servers>
			<profiles><profile><id>on</id><repositories><repository><id>a</id><url>https://a.example/</url></repository><repository><id>plain</id><url>http://b.example/</url></repository></repositories></profile>
			<profile><id>off</id><repositories><repository><id>c</id><url>https://c.example/</url></repository></repositories></profile></profiles>
			<activeProfiles><activeProfile>on</activeProfile></activeProfiles></settings>`}},
			[]format.Adopted{{URL: "https://mirror.example/m/", From: mine + ", mirror m", Note: "the password of m is encrypted: write it into the pond's configuration; plain was dropped: the settings block it"}, central}},
		{"set up with a pond already", machine{mvn: mvnSays, files: map[string]string{jar: superPOMJar(t), mine: settingsFor(&url.URL{Scheme: "https", Host: "pond.example", Path: "/maven/"}, "")}},
			[]format.Adopted{central}},
	} {
		got, err := adopt(t.Context(), c.m)
		if err != nil || !slices.EqualFunc(got, c.want, func(a, b format.Adopted) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Errorf("%s: adopted %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
	if _, err := adopt(t.Context(), machine{mvn: mvnSays, files: map[string]string{mine: "<settings><!DOCTYPE x></settings>"}}); err == nil {
		t.Error("settings that cannot be read were adopted")
	}
}

func TestConfigure(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "pond.example", Path: "/maven/"}
	configure := func(client, token string) []format.Rewrite {
		t.Helper()
		all, err := (Format{}).Configure(t.Context(), machine{}, format.ClientSetup{Client: client, Base: base, Token: token})
		if err != nil || len(all) != 1 {
			t.Fatalf("Configure(%s): %+v, %v", client, all, err)
		}
		return all
	}
	edit := configure("mvn", "to<ken")[0]
	if edit.File != "~/.m2/settings.xml" || !edit.Secret {
		t.Errorf("the rewrite is %+v", edit)
	}
	for _, before := range []string{
		"", "<settings/>", "<settings>\n</settings>\n",
		"<?xml version=\"1.0\"?>\n<!-- mine -->\n<settings xmlns=\"http://maven.apache.org/SETTINGS/1.2.0\">\n  <mirrors/>\n  <servers>\n    <server><id>other</id><username>u</username></server>\n  </servers>\n</settings>\n",
		"<settings><mirrors><mirror><id>old</id><mirrorOf>central</mirrorOf><url>https://old.example/</url></mirror></mirrors><activeProfiles><activeProfile>x</activeProfile></activeProfiles></settings>",
	} {
		after, err := edit.Edit(before)
		if err != nil {
			t.Errorf("edit %q: %v", before, err)
			continue
		}
		s, err := readSettings([]byte(after), func(string) string { return "" })
		i := slices.IndexFunc(s.servers, func(v setServer) bool { return v.id == ourID })
		if err != nil || len(s.mirrors) == 0 || s.mirrors[0] != (setMirror{id: ourID, url: "https://pond.example/maven", of: "*"}) ||
			i < 0 || s.servers[i].password != "to<ken" || !slices.Contains(s.active, ourID) || len(s.profiles) != 1 || len(s.profiles[0].repositories) != 2 {
			t.Errorf("edited %q:\n%s\nwhich reads as %+v, %v", before, after, s, err)
		}
		for _, kept := range []string{"<!-- mine -->", "<id>other</id>", "<id>old</id>", "<activeProfile>x</activeProfile>"} {
			if strings.Contains(before, kept) && !strings.Contains(after, kept) {
				t.Errorf("edited %q: %s is gone:\n%s", before, kept, after)
			}
		}
		if twice, err := edit.Edit(after); err != nil || twice != after {
			t.Errorf("edited again:\n%s\n%v; want it unchanged:\n%s", twice, err, after)
		}
		moved := &url.URL{Scheme: "https", Host: "new.example", Path: "/maven/"}
		if other, err := editSettings(after, moved, "new"); err != nil || strings.Contains(other, "pond.example") || strings.Count(other, "<id>millpond</id>") != strings.Count(after, "<id>millpond</id>") {
			t.Errorf("set up with another pond: %v\n%s", err, other)
		}
	}
	gradle := configure("gradle", "")[0]
	if text, err := gradle.Edit(""); err != nil || !strings.Contains(text, "uri('https://pond.example/maven')") || strings.Contains(text, "allowInsecureProtocol") {
		t.Errorf("gradle's script: %v\n%s", err, text)
	}
	for _, s := range []format.ClientSetup{{Client: "gradle", Base: base, Token: "x"}, {Client: "ant", Base: base}} {
		if _, err := (Format{}).Configure(t.Context(), machine{}, s); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Configure(%+v): %v, want unsupported", s, err)
		}
	}
}

// TestCase20NothingIsReadOfARefusedBody: a client that waits for leave to send is refused without it.
func TestCase20NothingIsReadOfARefusedBody(t *testing.T) {
	h := hosting(t)
	for _, c := range []struct{ caller, status string }{{"", "401"}, {"reader", "403"}, {"owner", "100"}} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		jar := jarOf(t, "a", "1")
		fmt.Fprintf(conn, "PUT /r%s HTTP/1.1\r\nHost: pond.example\r\nX-Caller: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", file(lib, "1.0", ".jar"), c.caller, len(jar))
		in := bufio.NewReader(conn)
		line, err := in.ReadString('\n')
		if fields := strings.Fields(line); err != nil || len(fields) < 2 || fields[1] != c.status {
			t.Errorf("as %q: answered %q, %v, want %s", c.caller, line, err, c.status)
		}
		if c.status == "100" {
			in.ReadString('\n')
			conn.Write(jar)
			resp, err := http.ReadResponse(in, nil)
			if err != nil || resp.StatusCode != http.StatusCreated {
				t.Errorf("and then: %v, %v", resp, err)
			}
		}
		conn.Close()
	}
}

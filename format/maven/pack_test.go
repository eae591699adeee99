package maven

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"millpond"
	"millpond/format"
	"millpond/format/formattest"
)

func TestPublishFile(t *testing.T) {
	h := hosting(t)
	publish := func(name string, body []byte, options map[string]string) (*format.Published, error) {
		return Format{}.PublishFile(t.Context(), h.As(formattest.Owner).Repo(), format.PublishedFile{Name: name, Size: int64(len(body)), Body: bytes.NewReader(body), Options: options})
	}
	want := func(what string, got *format.Published, err error, version string, isNew bool) {
		t.Helper()
		if err != nil || got.Key != (millpond.Key{Package: lib, Version: version}) || got.New != isNew {
			t.Errorf("%s: %+v, %v; want %s %s, new: %t", what, got, err, lib, version, isNew)
		}
	}
	jar := jarOf(t, "META-INF/maven/com.acme/lib/pom.xml", string(pomOf(lib, "1.4", "")))
	got, err := publish("lib-1.4.jar", jar, nil)
	want("a jar with its POM", got, err, "1.4", true)
	h.Good("jar", h.Get(file(lib, "1.4", ".jar")), jar)
	h.Good("POM", h.Get(file(lib, "1.4", ".pom")), pomOf(lib, "1.4", ""))
	got, err = publish("other-name.jar", jar, nil)
	want("again", got, err, "1.4", false)
	h.WantLog("again", "publish")
	if _, err := publish("lib-1.4.jar", jarOf(t, "META-INF/maven/com.acme/lib/pom.xml", string(pomOf(lib, "1.4", "<name>x</name>"))), nil); !millpond.Is(err, millpond.Conflict) {
		t.Errorf("other bytes: %v, want a conflict", err)
	}
	coordinates := map[string]string{"group": "com.acme", "artifact": "lib", "version": "1.5"}
	got, err = publish("whatever.tar.gz", []byte("\x1f\x8b rest"), coordinates)
	want("a file with options", got, err, "1.5", true)
	h.Good("archive", h.Get(file(lib, "1.5", ".tar.gz")), nil)
	got, err = publish("pom.xml", pomOf(lib, "1.6", "<packaging>pom</packaging>"), nil)
	want("a POM", got, err, "1.6", true)
	got, err = publish("lib.jar", jarOf(t, "a", "1"), map[string]string{"group": "com.acme", "artifact": "lib", "version": "2.0-SNAPSHOT"})
	want("a SNAPSHOT", got, err, "2.0-20261121.120000-1", true)
	wantVersions(t, h, "all", lib, "1.4", "1.5", "1.6", "2.0-SNAPSHOT")
	for what, one := range map[string]struct {
		name string
		body []byte
	}{
		"a jar that says nothing": {"lib.jar", jarOf(t, "a", "1")}, "a POM of a jar": {"pom.xml", pomOf(lib, "1.7", "")}, "no POM": {"x.pom", []byte("<html/>")},
	} {
		if got, err := publish(one.name, one.body, nil); !millpond.Is(err, millpond.Invalid) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %+v, %v; want it refused as invalid", what, got, err)
		}
	}
	if _, err := (Format{}).PublishFile(t.Context(), h.As(formattest.Reader).Repo(), format.PublishedFile{Name: "lib-1.8.jar", Size: -1, Body: bytes.NewReader(jar)}); !millpond.Is(err, millpond.Denied) {
		t.Errorf("as reader: %v, want denied", err)
	}
}

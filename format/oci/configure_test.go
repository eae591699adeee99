package oci

import (
	"context"
	"net/url"
	"os"
	"slices"
	"testing"

	"millpond"
	"millpond/format"
)

// A computer is a Machine of which only the environment is known.
type computer map[string]string

func (c computer) Getenv(key string) string { return c[key] }

func (computer) Run(context.Context, string, ...string) (string, error) {
	return "", &millpond.Error{Kind: millpond.NotFound}
}

func (computer) ReadFile(string) ([]byte, error) { return nil, os.ErrNotExist }

func TestConfigure(t *testing.T) {
	const auth = "dG9rZW46bXBfeA==" // token:mp_x
	for _, c := range []struct {
		name, client, base, token string
		env                       computer
		before                    string
		want                      []string // file and text
	}{
		{name: "docker over https", client: "docker", base: "https://pond.example/oci/", before: "{}", want: []string{"~/.docker/config.json", "{}"}},
		{name: "docker with a token, in a folder of its own", client: "docker", base: "https://pond.example/oci/", token: "mp_x", env: computer{"DOCKER_CONFIG": "/d"},
			want: []string{"/d/config.json", "{\n\t\"auths\": {\n\t\t\"pond.example\": {\n\t\t\t\"auth\": \"" + auth + "\"\n\t\t}\n\t}\n}\n"}},
		{name: "docker with others' logins", client: "docker", base: "https://pond.example/oci/", token: "mp_x",
			before: `{"credsStore":"x","auths":{"a.example":{"auth":"b"},"pond.example":{"auth":"old"}}}`,
			want:   []string{"~/.docker/config.json", "{\n\t\"auths\": {\n\t\t\"a.example\": {\n\t\t\t\"auth\": \"b\"\n\t\t},\n\t\t\"pond.example\": {\n\t\t\t\"auth\": \"" + auth + "\"\n\t\t}\n\t},\n\t\"credsStore\": \"x\"\n}\n"}},
		{name: "docker over plain http", client: "docker", base: "http://pond.example:81/oci/", before: `{"insecure-registries":["a"]}`,
			want: []string{"~/.docker/config.json", `{"insecure-registries":["a"]}`,
				"/etc/docker/daemon.json", "{\n\t\"insecure-registries\": [\n\t\t\"a\",\n\t\t\"pond.example:81\"\n\t]\n}\n"}},
		{name: "docker on this machine", client: "docker", base: "http://127.0.0.1:81/oci/", want: []string{"~/.docker/config.json", ""}},
		{name: "podman over plain http, with a token", client: "podman", base: "http://pond.example:81/oci/", token: "mp_x",
			want: []string{"~/.config/containers/auth.json", "{\n\t\"auths\": {\n\t\t\"pond.example:81\": {\n\t\t\t\"auth\": \"" + auth + "\"\n\t\t}\n\t}\n}\n",
				"~/.config/containers/registries.conf.d/millpond.conf", "[[registry]]\nlocation = \"pond.example:81\"\ninsecure = true\n"}},
		{name: "containerd", client: "containerd", base: "http://pond.example:81/oci/", token: "mp_x",
			want: []string{"/etc/containerd/certs.d/pond.example:81/hosts.toml",
				"server = \"http://pond.example:81\"\n\n[host.\"http://pond.example:81\"]\n  capabilities = [\"pull\", \"resolve\", \"push\"]\n  [host.\"http://pond.example:81\".header]\n    Authorization = \"Basic " + auth + "\"\n"}},
		{name: "helm", client: "helm", base: "https://pond.example/oci/", token: "mp_x", env: computer{"XDG_CONFIG_HOME": "/c"},
			want: []string{"/c/helm/registry/config.json", "{\n\t\"auths\": {\n\t\t\"pond.example\": {\n\t\t\t\"auth\": \"" + auth + "\"\n\t\t}\n\t}\n}\n"}},
	} {
		base, err := url.Parse(c.base)
		if err != nil {
			t.Fatal(err)
		}
		all, err := Format{}.Configure(t.Context(), c.env, format.ClientSetup{Client: c.client, Base: base, Token: c.token})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var got []string
		for _, r := range all {
			text, err := r.Edit(c.before)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if again, err := r.Edit(text); again != text || err != nil {
				t.Errorf("%s: done twice %s is\n%s, %v; want\n%s", c.name, r.File, again, err, text)
			}
			if r.Secret != (c.token != "" && r.File != "~/.config/containers/registries.conf.d/millpond.conf") {
				t.Errorf("%s: %s is secret: %t", c.name, r.File, r.Secret)
			}
			got = append(got, r.File, text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
	}
	base := &url.URL{Scheme: "https", Host: "pond.example", Path: "/oci/"}
	all, err := Format{}.Configure(t.Context(), computer{}, format.ClientSetup{Client: "docker", Base: base, Token: "mp_x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"[]", "{", `{"auths":[]}`, "null"} {
		if text, err := all[0].Edit(bad); err == nil {
			t.Errorf("%s became %s; want it refused", bad, text)
		}
	}
	if _, err := (Format{}).Configure(t.Context(), computer{}, format.ClientSetup{Client: "crane", Base: base}); !millpond.Is(err, millpond.Unsupported) {
		t.Errorf("crane: got %v, want Unsupported", err)
	}
}

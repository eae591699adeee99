package oci

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"

	"millpond"
	"millpond/format"
)

// The clients that are set up. buildah and skopeo read podman's files.
var clients = []string{"docker", "podman", "containerd", "helm"} // never changed

// Clients implements format.Configurer.
func (Format) Clients() []string { return slices.Clone(clients) }

// Configure implements format.Configurer. An image's name says which registry it is of, so that there is little to set: the
// credential, that the host speaks plain http, and for containerd where its /v2/ is.
func (Format) Configure(_ context.Context, m format.Machine, s format.ClientSetup) ([]format.Rewrite, error) {
	plain := s.Base.Scheme == "http"
	name := "images are called " + registryOf(s.Base) + "/IMAGE:TAG"
	var all []format.Rewrite
	switch s.Client {
	case "docker":
		folder := "~/.docker"
		if other := m.Getenv("DOCKER_CONFIG"); other != "" {
			folder = other
		}
		all = append(all, login(folder+"/config.json", s, name))
		if plain && !loopback(s.Base.Hostname()) {
			all = append(all, format.Rewrite{File: "/etc/docker/daemon.json", Note: "docker reads it when it starts: systemctl reload docker",
				Edit: func(text string) (string, error) { return addWord(text, "insecure-registries", s.Base.Host) }})
		}
	case "podman":
		folder := "~/.config/containers"
		if other := m.Getenv("XDG_CONFIG_HOME"); other != "" {
			folder = other + "/containers"
		}
		all = append(all, login(folder+"/auth.json", s, name+", for buildah and skopeo too"))
		if plain {
			text := fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n", s.Base.Host)
			// This one it looks for below the home alone.
			all = append(all, format.Rewrite{File: "~/.config/containers/registries.conf.d/millpond.conf", Edit: func(string) (string, error) { return text, nil }})
		}
	case "containerd":
		at := s.Base.Scheme + "://" + s.Base.Host
		text := fmt.Sprintf("server = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\", \"push\"]\n", at, at)
		if s.Token != "" {
			text += fmt.Sprintf("  [host.%q.header]\n    Authorization = \"Basic %s\"\n", at, basic(s.Token))
		}
		all = append(all, format.Rewrite{File: "/etc/containerd/certs.d/" + s.Base.Host + "/hosts.toml", Secret: s.Token != "",
			Edit: func(string) (string, error) { return text, nil },
			Note: name + "; containerd's config_path, or ctr's --hosts-dir, is to be /etc/containerd/certs.d"})
	case "helm":
		folder := "~/.config/helm"
		if other := m.Getenv("HELM_CONFIG_HOME"); other != "" {
			folder = other
		} else if other := m.Getenv("XDG_CONFIG_HOME"); other != "" {
			folder = other + "/helm"
		}
		note := "charts are called oci://" + registryOf(s.Base) + "/CHART"
		if plain {
			note += "; over plain http helm wants --plain-http"
		}
		all = append(all, login(folder+"/registry/config.json", s, note))
	default:
		return nil, &millpond.Error{Kind: millpond.Unsupported, Why: fmt.Sprintf("%q is not set up here", s.Client), Hint: strings.Join(clients, ", ") + " are"}
	}
	return all, nil
}

// login is the change of a file in which clients of images keep their credentials.
func login(file string, s format.ClientSetup, note string) format.Rewrite {
	return format.Rewrite{File: file, Secret: s.Token != "", Note: note, Edit: func(text string) (string, error) {
		if s.Token == "" {
			return text, nil
		}
		return editJSON(text, func(all map[string]json.RawMessage) error {
			auths := map[string]json.RawMessage{}
			if err := readField(all, "auths", &auths); err != nil {
				return err
			}
			var err error
			if auths[s.Base.Host], err = json.Marshal(map[string]string{"auth": basic(s.Token)}); err != nil {
				return err
			}
			all["auths"], err = json.Marshal(auths)
			return err
		})
	}}
}

// basic is a token as clients send it.
func basic(token string) string { return base64.StdEncoding.EncodeToString([]byte("token:" + token)) }

// loopback reports whether clients take a host for this machine, to which they speak plain http unasked.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// addWord adds a word to a list in a JSON text, unless it is in it.
func addWord(text, list, word string) (string, error) {
	return editJSON(text, func(all map[string]json.RawMessage) error {
		var words []string
		if err := readField(all, list, &words); err != nil || slices.Contains(words, word) {
			return err
		}
		var err error
		all[list], err = json.Marshal(append(words, word))
		return err
	})
}

func readField(all map[string]json.RawMessage, name string, into any) error {
	if len(all[name]) == 0 {
		return nil
	}
	if err := json.Unmarshal(all[name], into); err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: name + " in it is not what it should be", Err: err}
	}
	return nil
}

// editJSON changes fields of the object that a text is; "" is an empty one. What is not changed stays as it is written, but
// for spaces and the order of keys.
func editJSON(text string, edit func(map[string]json.RawMessage) error) (string, error) {
	all := map[string]json.RawMessage{}
	if strings.TrimSpace(text) != "" {
		if err := json.Unmarshal([]byte(text), &all); err != nil || all == nil {
			return "", &millpond.Error{Kind: millpond.Invalid, Why: "the file is not a JSON object", Hint: "mend it first", Err: err}
		}
	}
	if err := edit(all); err != nil {
		return "", err
	}
	b, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "\t"); err != nil {
		return "", err
	}
	return out.String() + "\n", nil
}

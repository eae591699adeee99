package oci

import (
	"net/url"
	"strings"

	"millpond/format"
)

// setUp says how clients are pointed at a repository. Those that can only be told a host reach a repository by its name in
// the image's.
func setUp(base *url.URL) []format.Snippet {
	host, at := base.Host, registryOf(base)
	plain := base.Scheme == "http"
	var all []format.Snippet
	add := func(client, text, note string) {
		all = append(all, format.Snippet{Client: client, Text: text, Note: note})
	}
	docker := ""
	if plain {
		docker = "over plain http, name the host in \"insecure-registries\" of /etc/docker/daemon.json, unless it is this machine"
	}
	add("docker", "docker login "+host+"\ndocker pull "+at+"/IMAGE:TAG", docker)
	flag := ""
	if plain {
		flag = " --tls-verify=false"
	}
	add("podman, buildah", "podman pull"+flag+" "+at+"/IMAGE:TAG", "")
	conf := "[[registry]]\nprefix = \"registry.example\"\nlocation = \"" + at + "\"\n"
	if plain {
		conf += "insecure = true\n"
	}
	add("podman, skopeo for all images of a registry", conf, "registries.conf; registry.example is the registry that is read through")
	add("containerd", "server = \""+base.Scheme+"://"+host+"/v2"+strings.TrimSuffix(base.Path, "/")+"\"\noverride_path = true\n[host.\""+base.Scheme+"://"+host+"/v2"+strings.TrimSuffix(base.Path, "/")+"\"]\n  capabilities = [\"pull\", \"resolve\"]\n  override_path = true\n",
		"/etc/containerd/certs.d/registry.example/hosts.toml; server is the pond too, or what a rule blocks is fetched past it")
	skopeo := ""
	if plain {
		skopeo = " --src-tls-verify=false"
	}
	add("skopeo", "skopeo copy"+skopeo+" docker://"+at+"/IMAGE:TAG dir:image", "")
	crane := ""
	if plain {
		crane = " --insecure"
	}
	add("crane", "crane pull"+crane+" "+at+"/IMAGE:TAG image.tar", "")
	helm := ""
	if plain {
		helm = " --plain-http"
	}
	add("helm", "helm pull"+helm+" oci://"+at+"/CHART --version VERSION", "")
	return all
}

package millpond_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"millpond/fetch/faulty"
)

// stockCargo lays crates as a sparse registry serves them.
func stockCargo(up *faulty.Server, goods []good) (string, map[string]string, error) {
	config := fmt.Sprintf(`{"dl":"%s/files","api":"%s"}`, up.URL, up.URL)
	up.Put("/index/config.json", tagged([]byte(config), "application/json"))
	names, by := group(goods)
	for _, name := range names {
		index := ""
		for _, g := range by[name] {
			body, deps, err := crate(g)
			if err != nil {
				return "", nil, err
			}
			line, err := json.Marshal(map[string]any{
				"name": g.name, "vers": g.version, "deps": deps, "cksum": hexSum(body), "features": map[string]any{},
				"yanked": g.yanked != "", "pubtime": g.published.Format(time.RFC3339),
			})
			if err != nil {
				return "", nil, err
			}
			index += string(line) + "\n"
			up.Put("/files/"+g.name+"/"+g.version+"/download", tagged(body, "application/gzip"))
		}
		up.Put("/index/"+crateFolder(name)+strings.ToLower(name), tagged([]byte(index), "text/plain"))
	}
	return "/index/", nil, nil
}

// crateFolder is where the index has a crate.
func crateFolder(name string) string {
	name = strings.ToLower(name)
	switch len(name) {
	case 1, 2:
		return fmt.Sprintf("%d/", len(name))
	case 3:
		return "3/" + name[:1] + "/"
	}
	return name[:2] + "/" + name[2:4] + "/"
}

// crate is a library that says its version, and uses what it needs.
func crate(g good) (body []byte, deps []map[string]any, err error) {
	deps = []map[string]any{}
	manifest := fmt.Sprintf("[package]\nname = %q\nversion = %q\nedition = \"2021\"\n\n[dependencies]\n", g.name, g.version)
	uses := ""
	for _, need := range g.needs {
		name, req, ok := strings.Cut(need, "@")
		if !ok {
			req = "*"
		}
		deps = append(deps, map[string]any{
			"name": name, "req": req, "features": []string{}, "optional": false, "default_features": true, "target": nil, "kind": "normal",
		})
		manifest += fmt.Sprintf("%s = %q\n", name, req)
		uses += fmt.Sprintf("pub use %s;\n", strings.ReplaceAll(name, "-", "_"))
	}
	pad, err := padding(g.size)
	if err != nil {
		return nil, nil, err
	}
	top := g.name + "-" + g.version + "/"
	source := uses + fmt.Sprintf("pub const VERSION: &str = %q;\n", g.version)
	body, err = tarred(top+"Cargo.toml", manifest, top+"src/lib.rs", source, top+"pad.txt", pad)
	return body, deps, err
}

// cargoSettings are the environment of a cargo that has a home of the script's own and the toolchain of whoever runs the tests.
func cargoSettings(home string) map[string]string {
	toolchains := os.Getenv("RUSTUP_HOME")
	if toolchains == "" {
		if user, err := os.UserHomeDir(); err == nil {
			toolchains = filepath.Join(user, ".rustup")
		}
	}
	return map[string]string{
		"RUSTUP_HOME": toolchains, "CARGO_HOME": home + "/cargo", "CARGO_NET_RETRY": "1", "CARGO_TERM_COLOR": "never",
		"CARGO_INCREMENTAL": "0", "CARGO_HTTP_TIMEOUT": "120",
	}
}

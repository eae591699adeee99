package millpond_test

import (
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"millpond/fetch/faulty"
)

// stockNPM lays tarballs and full packuments. The last version of a package that is laid is its latest.
func stockNPM(up *faulty.Server, goods []good) (string, map[string]string, error) {
	const instant = "2006-01-02T15:04:05.000Z"
	names, by := group(goods)
	for _, name := range names {
		versions, times := map[string]any{}, map[string]string{}
		var latest good
		for _, g := range by[name] {
			manifest, tgz, err := pack(g)
			if err != nil {
				return "", nil, err
			}
			path := fmt.Sprintf("/%s/-/%s-%s.tgz", name, name[strings.LastIndex(name, "/")+1:], g.version)
			up.Put(path, tagged(tgz, "application/octet-stream"))
			manifest["dist"] = map[string]any{"tarball": up.URL + path, "integrity": integrity(tgz), "shasum": fmt.Sprintf("%x", sha1.Sum(tgz))}
			versions[g.version], times[g.version], latest = manifest, g.published.Format(instant), g
		}
		times["created"], times["modified"] = longAgo.Format(instant), time.Now().UTC().Format(instant)
		doc, err := json.Marshal(map[string]any{
			"_id": name, "name": name, "dist-tags": map[string]string{"latest": latest.version, "first": by[name][0].version},
			"versions": versions, "time": times,
		})
		if err != nil {
			return "", nil, err
		}
		up.Put("/"+strings.Replace(name, "/", "%2f", 1), tagged(doc, "application/json"))
		up.Put("/"+name, tagged(doc, "application/json"))
	}
	up.Handle("/-/npm/v1/security/advisories/bulk", func(w http.ResponseWriter, r *http.Request) { advise(up, goods, w, r) })
	return "/", nil, nil
}

// advise answers an audit, and keeps the question at /question for the script to read.
func advise(up *faulty.Server, goods []good, w http.ResponseWriter, r *http.Request) {
	var question map[string][]string
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &question)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	up.Put("/question", tagged(body, "application/json"))
	answer := map[string][]map[string]any{}
	for i, g := range goods {
		if g.vulnerable != "" && slices.Contains(question[g.name], g.version) {
			answer[g.name] = append(answer[g.name], map[string]any{
				"id": i + 1, "url": "https://upstream.example/advisories/1", "title": g.vulnerable, "severity": "high",
				"vulnerable_versions": g.version, "cwe": []string{}, "cvss": map[string]any{"score": 7.5, "vectorString": nil},
			})
		}
	}
	json.NewEncoder(w).Encode(answer)
}

func integrity(tgz []byte) string {
	sum := sha512.Sum512(tgz)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// pack is a package of one module, which is its version.
func pack(g good) (manifest map[string]any, tgz []byte, err error) {
	deps := map[string]string{}
	for _, need := range g.needs {
		n, v, _ := strings.Cut(need[1:], "@") // a scope begins with @
		deps[need[:1]+n] = v
	}
	manifest = map[string]any{
		"name": g.name, "version": g.version, "description": "says " + g.version, "dependencies": deps, "main": "index.js", "license": "MIT",
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return nil, nil, err
	}
	if g.deprecated != "" {
		manifest["deprecated"] = g.deprecated // which is said of a package, not in it
	}
	pad, err := padding(g.size)
	if err != nil {
		return nil, nil, err
	}
	tgz, err = tarred("package/package.json", string(text), "package/index.js", fmt.Sprintf("module.exports = %q\n", g.version), "package/data.txt", pad)
	return manifest, tgz, err
}

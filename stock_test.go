package millpond_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"millpond/fetch/faulty"
)

// stocks make the upstreams of scripts: real packages that real clients install. Each returns the path of the upstream's
// URL on the server.
var stocks = map[string]func(*faulty.Server, []good) (string, error){
	"pypi": stockPyPI, "npm": stockNPM, "golang": stockGo,
}

// published is when all goods were, long enough ago for any hold.
var published = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

func tagged(body []byte, kind string) faulty.Object {
	return faulty.Object{Body: body, Type: kind, ETag: fmt.Sprintf(`"%x"`, sha256.Sum256(body))[:20] + `"`}
}

// group collects goods by name.
func group(goods []good) (names []string, by map[string][]good) {
	by = map[string][]good{}
	for _, g := range goods {
		if by[g.name] == nil {
			names = append(names, g.name)
		}
		by[g.name] = append(by[g.name], g)
	}
	return names, by
}

func zipped(files ...string) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: files[i], Method: zip.Deflate})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

func tarred(files ...string) ([]byte, error) {
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	t := tar.NewWriter(g)
	for i := 0; i+1 < len(files); i += 2 {
		if err := t.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), ModTime: published}); err != nil {
			return nil, err
		}
		if _, err := t.Write([]byte(files[i+1])); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	err := g.Close()
	return b.Bytes(), err
}

// stockPyPI lays wheels with their metadata, and the JSON pages that list them.
func stockPyPI(up *faulty.Server, goods []good) (string, error) {
	names, by := group(goods)
	for _, name := range names {
		type file = map[string]any
		var files []file
		var versions []string
		for _, g := range by[name] {
			under := strings.ReplaceAll(name, "-", "_")
			info := under + "-" + g.version + ".dist-info"
			meta := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, g.version)
			for _, need := range g.needs {
				meta += "Requires-Dist: " + need + "\n"
			}
			module := fmt.Sprintf("version = %q\n", g.version)
			files2 := []string{under + ".py", module, info + "/METADATA", meta,
				info + "/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
			record := ""
			for i := 0; i < len(files2); i += 2 {
				sum := sha256.Sum256([]byte(files2[i+1]))
				record += fmt.Sprintf("%s,sha256=%s,%d\n", files2[i], base64.RawURLEncoding.EncodeToString(sum[:]), len(files2[i+1]))
			}
			files2 = append(files2, info+"/RECORD", record+info+"/RECORD,,\n")
			wheel, err := zipped(files2...)
			if err != nil {
				return "", err
			}
			filename := fmt.Sprintf("%s-%s-py3-none-any.whl", under, g.version)
			up.Put("/files/"+filename, tagged(wheel, "application/octet-stream"))
			up.Put("/files/"+filename+".metadata", tagged([]byte(meta), "application/octet-stream"))
			files = append(files, file{
				"filename": filename, "url": "../../files/" + filename, "size": len(wheel),
				"hashes":        map[string]string{"sha256": hexSum(wheel)},
				"core-metadata": map[string]string{"sha256": hexSum([]byte(meta))},
				"upload-time":   published.Format("2006-01-02T15:04:05.000000Z"), "requires-python": ">=3.7", "yanked": false,
			})
			versions = append(versions, g.version)
		}
		page, err := json.Marshal(map[string]any{
			"meta": map[string]any{"api-version": "1.1", "_last-serial": len(files)}, "name": name, "files": files, "versions": versions,
		})
		if err != nil {
			return "", err
		}
		up.Put("/simple/"+name+"/", tagged(page, "application/vnd.pypi.simple.v1+json"))
	}
	return "/simple/", nil
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// stockNPM lays tarballs and full packuments.
func stockNPM(up *faulty.Server, goods []good) (string, error) {
	names, by := group(goods)
	for _, name := range names {
		versions, times := map[string]any{}, map[string]string{}
		latest := ""
		escaped := strings.Replace(name, "/", "%2f", 1)
		base := name[strings.LastIndex(name, "/")+1:]
		for _, g := range by[name] {
			deps := map[string]string{}
			for _, need := range g.needs {
				n, v, _ := strings.Cut(need[1:], "@") // a scope begins with @
				deps[need[:1]+n] = v
			}
			manifest := map[string]any{"name": name, "version": g.version, "dependencies": deps, "main": "index.js", "license": "MIT"}
			text, err := json.Marshal(manifest)
			if err != nil {
				return "", err
			}
			tgz, err := tarred("package/package.json", string(text), "package/index.js", fmt.Sprintf("module.exports = %q\n", g.version))
			if err != nil {
				return "", err
			}
			path := fmt.Sprintf("/%s/-/%s-%s.tgz", name, base, g.version)
			up.Put(path, tagged(tgz, "application/octet-stream"))
			sum := sha512.Sum512(tgz)
			manifest["dist"] = map[string]any{
				"tarball": up.URL + path, "integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]), "shasum": fmt.Sprintf("%x", sha1.Sum(tgz)),
			}
			versions[g.version], times[g.version], latest = manifest, published.Format("2006-01-02T15:04:05.000Z"), g.version
		}
		times["created"], times["modified"] = times[latest], times[latest]
		doc, err := json.Marshal(map[string]any{
			"_id": name, "name": name, "dist-tags": map[string]string{"latest": latest}, "versions": versions, "time": times,
		})
		if err != nil {
			return "", err
		}
		up.Put("/"+escaped, tagged(doc, "application/json"))
		up.Put("/"+name, tagged(doc, "application/json"))
	}
	return "/", nil
}

// stockGo lays modules as a module mirror serves them.
func stockGo(up *faulty.Server, goods []good) (string, error) {
	names, by := group(goods)
	for _, name := range names {
		list := ""
		for _, g := range by[name] {
			mod := "module " + name + "\n\ngo 1.21\n"
			imports := ""
			for _, need := range g.needs {
				n, v, _ := strings.Cut(need, "@")
				mod += fmt.Sprintf("\nrequire %s %s\n", n, v)
				imports += fmt.Sprintf("import _ %q\n", n)
			}
			prefix := name + "@" + g.version + "/"
			source := fmt.Sprintf("package %s\n\n%s\nconst Version = %q\n", name[strings.LastIndex(name, "/")+1:], imports, g.version)
			z, err := zipped(prefix+"go.mod", mod, prefix+"lib.go", source)
			if err != nil {
				return "", err
			}
			at := "/" + name + "/@v/" + g.version
			info := fmt.Sprintf(`{"Version":%q,"Time":%q}`, g.version, published.Format(time.RFC3339))
			up.Put(at+".info", tagged([]byte(info), "application/json"))
			up.Put(at+".mod", tagged([]byte(mod), "text/plain; charset=utf-8"))
			up.Put(at+".zip", tagged(z, "application/zip"))
			list += g.version + "\n"
			up.Put("/"+name+"/@latest", tagged([]byte(info), "application/json"))
		}
		up.Put("/"+name+"/@v/list", tagged([]byte(list), "text/plain; charset=utf-8"))
	}
	return "/", nil
}

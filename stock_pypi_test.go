package millpond_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"millpond/fetch/faulty"
)

// stockPyPI lays wheels with their metadata, or sdists, and the JSON pages that list them.
func stockPyPI(up *faulty.Server, goods []good) (string, map[string]string, error) {
	names, by := group(goods)
	for _, name := range names {
		var files []map[string]any
		var versions []string
		for _, g := range by[name] {
			build := wheel
			if g.sdist {
				build = sdist
			}
			filename, body, meta, err := build(g)
			if err != nil {
				return "", nil, err
			}
			up.Put("/files/"+filename, tagged(body, "application/octet-stream"))
			file := map[string]any{
				"filename": filename, "url": "../../files/" + filename, "size": len(body), "hashes": map[string]string{"sha256": hexSum(body)},
				"upload-time": g.published.Format("2006-01-02T15:04:05.000000Z"), "requires-python": ">=3.7", "yanked": false,
			}
			if g.yanked != "" {
				file["yanked"] = g.yanked
			}
			if meta != "" {
				up.Put("/files/"+filename+".metadata", tagged([]byte(meta), "application/octet-stream"))
				file["core-metadata"] = map[string]string{"sha256": hexSum([]byte(meta))}
			}
			files, versions = append(files, file), append(versions, g.version)
		}
		page, err := json.Marshal(map[string]any{
			"meta": map[string]any{"api-version": "1.1", "_last-serial": len(files)}, "name": name, "files": files, "versions": versions,
		})
		if err != nil {
			return "", nil, err
		}
		up.Put("/simple/"+name+"/", tagged(page, "application/vnd.pypi.simple.v1+json"))
	}
	return "/simple/", nil, nil
}

// metadata is a package's METADATA or PKG-INFO.
func metadata(g good) string {
	meta := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", g.name, g.version)
	for _, need := range g.needs {
		meta += "Requires-Dist: " + need + "\n"
	}
	return meta
}

// wheel is a wheel of one module, which says its version.
func wheel(g good) (filename string, body []byte, meta string, err error) {
	under := strings.ReplaceAll(g.name, "-", "_")
	info := under + "-" + g.version + ".dist-info"
	meta = metadata(g)
	pad, err := padding(g.size)
	if err != nil {
		return "", nil, "", err
	}
	files := []string{
		under + ".py", fmt.Sprintf("version = %q\n", g.version),
		under + "_data.txt", pad,
		info + "/METADATA", meta,
		info + "/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
	}
	record := ""
	for i := 0; i < len(files); i += 2 {
		sum := sha256.Sum256([]byte(files[i+1]))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", files[i], base64.RawURLEncoding.EncodeToString(sum[:]), len(files[i+1]))
	}
	body, err = zipped(append(files, info+"/RECORD", record+info+"/RECORD,,\n")...)
	return under + "-" + g.version + "-py3-none-any.whl", body, meta, err
}

// sdist is a source distribution that brings what builds it, so that no other package is needed for that.
func sdist(g good) (filename string, body []byte, meta string, err error) {
	under := strings.ReplaceAll(g.name, "-", "_")
	top := under + "-" + g.version
	body, err = tarred(
		top+"/PKG-INFO", metadata(g),
		top+"/"+under+".py", fmt.Sprintf("version = %q\n", g.version),
		top+"/pyproject.toml", "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
		top+"/backend.py", fmt.Sprintf(backend, under, g.version),
	)
	return top + ".tar.gz", body, "", err
}

const backend = `import os, zipfile

name, version = %q, %q

def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = "%%s-%%s.dist-info" %% (name, version)
    wheel = "%%s-%%s-py3-none-any.whl" %% (name, version)
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as z:
        z.write(name + ".py")
        z.write("PKG-INFO", info + "/METADATA")
        z.writestr(info + "/WHEEL", "Wheel-Version: 1.0\nGenerator: backend\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(info + "/RECORD", "")
    return wheel
`

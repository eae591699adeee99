package millpond_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"millpond/fetch/faulty"

	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/sumdb/note"
)

// stockGo lays modules as a module mirror serves them, and beside them a checksum database that knows them. Its verifier key
// is $UP_SUMDB; what is laid later has a database of its own, with another key.
func stockGo(up *faulty.Server, goods []good) (string, map[string]string, error) {
	names, by := group(goods)
	sums := map[string]string{}
	for _, name := range names {
		list := ""
		for _, g := range by[name] {
			mod, z, err := moduleOf(g)
			if err != nil {
				return "", nil, err
			}
			at := "/" + name + "/@v/" + g.version
			info := fmt.Sprintf(`{"Version":%q,"Time":%q}`, g.version, g.published.Format(time.RFC3339))
			up.Put(at+".info", tagged([]byte(info), "application/json"))
			up.Put(at+".mod", tagged([]byte(mod), "text/plain; charset=utf-8"))
			up.Put(at+".zip", tagged(z, "application/zip"))
			list += g.version + "\n"
			up.Put("/"+name+"/@latest", tagged([]byte(info), "application/json"))
			if sums[name+"@"+g.version], err = sumLines(g, mod, z); err != nil {
				return "", nil, err
			}
		}
		up.Put("/"+name+"/@v/list", tagged([]byte(list), "text/plain; charset=utf-8"))
	}
	key, err := stockSums(up, sums)
	return "/", map[string]string{"UP_SUMDB": key}, err
}

// moduleOf is a module of one package, which says its version.
func moduleOf(g good) (mod string, z []byte, err error) {
	mod = "module " + g.name + "\n\ngo 1.21\n"
	imports := ""
	for _, need := range g.needs {
		n, v, _ := strings.Cut(need, "@")
		mod += fmt.Sprintf("\nrequire %s %s\n", n, v)
		imports += fmt.Sprintf("import _ %q\n", n)
	}
	pad, err := padding(g.size)
	if err != nil {
		return "", nil, err
	}
	prefix := g.name + "@" + g.version + "/"
	source := fmt.Sprintf("package %s\n\n%s\nconst Version = %q\n", g.name[strings.LastIndex(g.name, "/")+1:], imports, g.version)
	z, err = zipped(prefix+"go.mod", mod, prefix+"lib.go", source, prefix+"data.txt", pad)
	return mod, z, err
}

// sumLines are the lines that a module has in go.sum.
func sumLines(g good, mod string, z []byte) (string, error) {
	r, err := zip.NewReader(bytes.NewReader(z), int64(len(z)))
	if err != nil {
		return "", err
	}
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
	}
	whole, err := dirhash.Hash1(names, func(name string) (io.ReadCloser, error) { return r.Open(name) })
	if err != nil {
		return "", err
	}
	of, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(mod)), nil
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", g.name, g.version, whole, g.name, g.version, of), nil
}

const sumName = "sum.example"

// stockSums lays all documents of a checksum database: it never grows, so that they can be counted.
func stockSums(up *faulty.Server, sums map[string]string) (key string, err error) {
	signer, key, err := note.GenerateKey(nil, sumName)
	if err != nil {
		return "", err
	}
	db := sumdb.NewServer(sumdb.NewTestServer(signer, func(path, version string) ([]byte, error) {
		if lines, ok := sums[path+"@"+version]; ok {
			return []byte(lines), nil
		}
		return nil, fs.ErrNotExist
	}))
	lay := func(path string) error {
		w := httptest.NewRecorder()
		db.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusOK {
			return fmt.Errorf("the checksum database answers %d for %s", w.Code, path)
		}
		up.Put("/sumdb/"+sumName+path, tagged(w.Body.Bytes(), w.Header().Get("Content-Type")))
		return nil
	}
	up.Put("/sumdb/"+sumName+"/supported", tagged(nil, "text/plain"))
	paths := []string{}
	for at := range sums { // each look-up lets the database grow by a record
		if err := lay("/lookup/" + at); err != nil {
			return "", err
		}
		paths = append(paths, "/lookup/"+at)
	}
	for n := 1; n <= len(sums); n++ {
		paths = append(paths, fmt.Sprintf("/tile/8/0/000.p/%d", n), fmt.Sprintf("/tile/8/data/000.p/%d", n))
	}
	for _, path := range append(paths, "/latest") {
		if err := lay(path); err != nil {
			return "", err
		}
	}
	return key, nil
}

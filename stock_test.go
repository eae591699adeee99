package millpond_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"millpond/fetch/faulty"
)

// stocks make the upstreams of scripts: real packages that real clients install. Each returns the path of the upstream's
// URL on the server, and variables for the script. A package that is laid again has the versions of the last time.
var stocks = map[string]func(*faulty.Server, []good) (path string, settings map[string]string, err error){
	"cargo":    stockCargo,
	"debian":   stockDebian,
	"golang":   stockGo,
	"maven":    stockMaven,
	"npm":      stockNPM,
	"oci":      stockOCI,
	"pear":     stockPEAR,
	"pypi":     stockPyPI,
	"raw":      stockRaw,
	"rubygems": stockRubygems,
}

// longAgo is when goods were published of which nothing is said: long enough ago for any hold.
var longAgo = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

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
		if err := t.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), ModTime: longAgo}); err != nil {
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

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// padding is text that makes a packed file n bytes larger.
func padding(n int64) (string, error) {
	raw, err := io.ReadAll(io.NewSectionReader(faulty.Noise(1, n), 0, n))
	return hex.EncodeToString(raw), err
}

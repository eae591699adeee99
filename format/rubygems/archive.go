package rubygems

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"

	"go.yaml.in/yaml/v4"

	"millpond"
)

const (
	mostMetadata = 1 << 20 // bytes of metadata.gz, unpacked
	mostData     = 8 << 30 // bytes of data.tar.gz, unpacked
	mostParts    = 64      // entries of a gem: it has three, and a signature of each
)

// readMetadata reads the specification of a gem: the first entry of its archive has it. What is read of r on the way is
// little.
func readMetadata(r io.Reader) (*gemspec, error) {
	t := tar.NewReader(r)
	for range 3 {
		entry, err := t.Next()
		if err != nil {
			return nil, &millpond.Error{Kind: millpond.Invalid, Why: "what was sent is no gem: no archive begins there", Err: err}
		}
		switch entry.Name {
		case "metadata.gz":
			if entry.Size > mostMetadata {
				return nil, &millpond.Error{Kind: millpond.TooLarge, Why: "the gem's metadata is larger than 1 MiB"}
			}
			text, err := gunzip(t, mostMetadata)
			if err != nil {
				return nil, err
			}
			return readGemspec(text)
		case "checksums.yaml.gz", "checksums.yaml.gz.sig":
			if entry.Size > mostMetadata { // what is passed over is in memory
				return nil, &millpond.Error{Kind: millpond.TooLarge, Why: "the gem's checksums are larger than 1 MiB"}
			}
		default:
			return nil, invalid("what was sent is no gem: its archive does not begin with metadata.gz")
		}
	}
	return nil, invalid("what was sent is no gem: its archive has no metadata.gz at its beginning")
}

func gunzip(r io.Reader, limit int64) ([]byte, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a part of the gem is not the gzip that it claims to be", Err: err}
	}
	text, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, &millpond.Error{Kind: millpond.Invalid, Why: "a part of the gem is damaged", Err: err}
	}
	if int64(len(text)) > limit {
		return nil, &millpond.Error{Kind: millpond.TooLarge, Why: fmt.Sprintf("a part of the gem is larger than %d bytes", limit)}
	}
	return text, nil
}

// checkGem reads a whole gem: its parts have the checksums that it gives, and nothing in it points out of its folder.
func checkGem(r io.Reader) error {
	t := tar.NewReader(r)
	got := map[string]map[string]string{} // algorithm to entry to sum
	var want map[string]map[string]string
	for n := 0; ; n++ {
		entry, err := t.Next()
		if err == io.EOF {
			break
		}
		if n >= mostParts {
			return invalid(fmt.Sprintf("the gem has more than %d parts", mostParts))
		}
		if err != nil {
			return &millpond.Error{Kind: millpond.Invalid, Why: "the gem is damaged, or ends too early", Err: err}
		}
		if got["SHA1"][entry.Name] != "" || entry.Name == "metadata" { // as some read metadata.gz too
			return invalid(fmt.Sprintf("the gem has two parts named %.100q", entry.Name))
		}
		hashes := map[string]hash.Hash{"SHA1": sha1.New(), "SHA256": sha256.New(), "SHA512": sha512.New()}
		var all []io.Writer
		for _, h := range hashes {
			all = append(all, h)
		}
		body := io.TeeReader(t, io.MultiWriter(all...))
		switch entry.Name {
		case "data.tar.gz":
			err = checkData(body)
		case "checksums.yaml.gz":
			var text []byte
			if text, err = gunzip(body, mostMetadata); err == nil && yaml.Unmarshal(text, &want) != nil {
				err = invalid("the gem's checksums.yaml.gz cannot be read")
			}
		}
		if err == nil {
			_, err = io.Copy(io.Discard, body)
		}
		if err != nil {
			return err
		}
		for name, h := range hashes {
			if got[name] == nil {
				got[name] = map[string]string{}
			}
			got[name][entry.Name] = hex.EncodeToString(h.Sum(nil))
		}
	}
	if got["SHA1"]["data.tar.gz"] == "" {
		return invalid("the gem has no data.tar.gz")
	}
	for algorithm, entries := range want {
		for name, sum := range entries {
			if have := got[algorithm]; have != nil && have[name] != strings.ToLower(sum) {
				return invalid(fmt.Sprintf("the gem's %.100q is not that of its checksums.yaml.gz", name))
			}
		}
	}
	return nil
}

// checkData reads the files of a gem.
func checkData(r io.Reader) error {
	z, err := gzip.NewReader(bufio.NewReader(r))
	if err != nil {
		return &millpond.Error{Kind: millpond.Invalid, Why: "the gem's data.tar.gz is no gzip", Err: err}
	}
	t := tar.NewReader(io.LimitReader(z, mostData))
	for {
		entry, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &millpond.Error{Kind: millpond.Invalid, Why: "the gem's data.tar.gz is damaged", Err: err}
		}
		if leaves(entry.Name) {
			return invalid(fmt.Sprintf("the gem has the file %.200q, which lies outside of it", entry.Name))
		}
		target := entry.Linkname
		if target != "" && entry.Typeflag == tar.TypeSymlink && !path.IsAbs(target) {
			target = path.Join(path.Dir(entry.Name), target)
		}
		if target != "" && leaves(target) {
			return invalid(fmt.Sprintf("the gem's link %.200q points outside of it", entry.Name))
		}
	}
}

// leaves reports whether a name in an archive is outside of the folder that it is unpacked to.
func leaves(name string) bool {
	clean := path.Clean(name)
	return path.IsAbs(name) || clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(name, "\\")
}

package raw

import (
	"bufio"
	"context"
	"io"
	"net/url"
	"strings"

	"millpond"
	"millpond/format"
)

// mostSums bounds a list of digests.
const mostSums = 16 << 20

// told are the digests that an upstream keeps in a file beside another, where the option sums says in which: "releases/**=SHA256SUMS"
// is one of that name in the same directory, ".sha256" one of the same name with that ending. What is not there tells nothing.
func (s source) told(ctx context.Context, at *url.URL, name string) ([]millpond.Digest, error) {
	rules, err := rulesOf("sums", s.remote.Option("sums"))
	word := rules.of(name)
	if err != nil || word == "" || base(name) == word || strings.HasPrefix(word, ".") && strings.HasSuffix(name, word) {
		return nil, err
	}
	if strings.HasPrefix(word, ".") {
		word = base(name) + word
	}
	beside := at.JoinPath("..", escape(word)) // which takes a path as it stands in an address
	doc, err := s.remote.Document(ctx, format.Request{URL: beside.String(), Limit: mostSums})
	if millpond.Is(err, millpond.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer doc.Close()
	return sumsOf(doc.Reader(), base(name))
}

// sumsOf finds the digests of a file in what sha256sum and its kin have written, of which a line without a name is of any file.
func sumsOf(r io.Reader, file string) (out []millpond.Digest, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		sum, name, _ := strings.Cut(line, " ")
		name = strings.TrimPrefix(strings.TrimLeft(name, " *"), "./")
		if _, tagged, ok := strings.Cut(line, " ("); ok { // SHA256 (name) = …
			if i := strings.LastIndex(tagged, ") = "); i >= 0 {
				name, sum = tagged[:i], tagged[i+len(") = "):]
			}
		}
		algorithm := map[int]string{40: "sha1", 64: "sha256", 128: "sha512"}[len(sum)]
		if algorithm == "" || name != "" && name != file {
			continue
		}
		if d, err := millpond.ParseDigest(algorithm + ":" + strings.ToLower(sum)); err == nil {
			out = append(out, d)
		}
	}
	return out, lines.Err()
}

// with are digests and those of others of whose algorithm there is none among them, strongest first.
func with(digests, others []millpond.Digest) (out []millpond.Digest) {
	for _, algorithm := range [...]string{"sha512", "sha256", "sha1", "md5"} {
		for _, all := range [...][]millpond.Digest{digests, others} {
			if sum := hexOf(all, algorithm); sum != "" {
				if d, err := millpond.ParseDigest(algorithm + ":" + sum); err == nil {
					out = append(out, d)
				}
				break
			}
		}
	}
	return out
}

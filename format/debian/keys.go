package debian

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"millpond"
	"millpond/format"
)

const (
	keyName = "signing-key"
	// keyAge is how old a new key says that it is: a clock that is set back a little must not make it one of the future.
	keyAge = 24 * time.Hour
)

// snapshotID is what apt puts the time in the place of.
const snapshotID = "@SNAPSHOTID@"

// A seal is what the options say of signing.
type seal struct {
	word  string        // changes when a Release has to be signed anew
	valid time.Duration // for how long a Release is good; 0 is for ever
}

// seal reads the options. A Release that is good for a time is signed anew when half of it has passed, by the next reader.
func (h handler) seal(context.Context) (*seal, error) {
	s := &seal{word: strings.Join(keyNumbers(h.repo), " ")}
	if digests := h.repo.Option("release_digests"); digests != "" {
		if _, err := releaseDigests(digests); err != nil {
			return nil, err
		}
		s.word += " " + digests
	}
	if at := h.repo.Option("snapshots"); at != "" {
		if u, err := url.Parse(at); err != nil || u.Host == "" || !strings.Contains(at, snapshotID) || strings.ContainsAny(at, " \t\r\n") {
			return nil, &millpond.Error{Kind: millpond.Unready, Why: "the option snapshots is " + strconv.Quote(at) + ": not an address with " + snapshotID + " in it"}
		}
		s.word += " " + at
	}
	text := h.repo.Option("valid")
	if text == "" || text == "0" {
		return s, nil
	}
	var err error
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		s.valid = time.Duration(n) * 24 * time.Hour
	} else {
		s.valid, err = time.ParseDuration(text)
	}
	if err != nil || s.valid < time.Minute {
		return nil, &millpond.Error{Kind: millpond.Unready, Why: "the option valid is " + strconv.Quote(text) + ": not a time like 7d or 12h, of a minute at least"}
	}
	s.word += " " + text + " " + strconv.FormatInt(h.repo.Now().UnixNano()/int64(s.valid/2), 10)
	return s, nil
}

// keyNumbers are the numbers of the keys that sign, by the option signing_keys.
func keyNumbers(repo format.Repo) []string {
	if numbers := strings.Fields(repo.Option("signing_keys")); len(numbers) > 0 {
		return numbers
	}
	return []string{"1"}
}

// A keySet are the keys of a repository that sign, and their fingerprints by their numbers.
type keySet struct {
	signer
	prints map[string]string
}

// expected are the fingerprints that a suite was signed by, as its record and its last Release say.
func expected(rec suiteRecord, last *madeRelease) map[string]string {
	out := maps.Clone(rec.Keys)
	if out == nil {
		out = map[string]string{}
	}
	if last != nil {
		maps.Copy(out, last.Keys)
	}
	return out
}

// keysOf reads the keys that sign. One that was never used is made; one that was used and is gone, or is another, is missed:
// no client would know what was made in its place.
func keysOf(ctx context.Context, repo format.Repo, expected map[string]string) (*keySet, error) {
	out := &keySet{prints: map[string]string{}}
	for _, n := range keyNumbers(repo) {
		if len(n) > 6 || strings.Trim(n, "0123456789") != "" {
			return nil, &millpond.Error{Kind: millpond.Unready, Why: "the option signing_keys has " + strconv.Quote(n) + " in it, which is no number"}
		}
		lost := &millpond.Error{Kind: millpond.Unready, Why: "the signing key " + n + " of " + repo.Name() + ", which its clients know, is not here",
			Hint: "restore it, or have another sign: option signing_keys"}
		name := keyName
		if n != "1" {
			name += "-" + n
		}
		b, err := repo.Secret(ctx, name, func() ([]byte, error) {
			if expected[n] != "" {
				return nil, lost
			}
			switch kind := repo.Option("key_type"); kind {
			case "", "ed25519":
				return newKey(repo.Name(), 0, repo.Now().Add(-keyAge))
			case "rsa4096":
				return newKey(repo.Name(), 4096, repo.Now().Add(-keyAge))
			default:
				return nil, &millpond.Error{Kind: millpond.Unready, Why: "the option key_type is " + strconv.Quote(kind) + ": not ed25519 or rsa4096"}
			}
		})
		if err != nil {
			return nil, err
		}
		one, err := readSigner(b)
		if err != nil {
			return nil, err
		}
		print := fingerprints(one.keys)
		if expected[n] != "" && expected[n] != print {
			return nil, lost
		}
		out.keys, out.prints[n] = append(out.keys, one.keys...), print
	}
	return out, nil
}

func fingerprints(keys openpgp.EntityList) string {
	var all []string
	for _, e := range keys {
		all = append(all, hex.EncodeToString(e.PrimaryKey.Fingerprint))
	}
	return strings.Join(all, " ")
}

// keysOfSuite are the keys that sign a suite; of one that is not here yet, those that will.
func (h handler) keysOfSuite(ctx context.Context, suite string) (*keySet, error) {
	keys, err := known(ctx, h.repo)
	if err != nil {
		return nil, err
	}
	return h.keysFor(ctx, suite, suiteRecord{Keys: keys})
}

// known are the fingerprints that any suite of a repository was made with.
func known(ctx context.Context, repo format.Repo) (map[string]string, error) {
	out := map[string]string{}
	for one, err := range repo.Records(ctx, distsDir+"/") {
		if err != nil {
			return nil, err
		}
		var rec suiteRecord
		if err := json.Unmarshal(one.Meta, &rec); err != nil {
			return nil, fmt.Errorf("read the record of %s: %w", one.Name, err)
		}
		maps.Copy(out, rec.Keys)
	}
	return out, nil
}

func (h handler) keysFor(ctx context.Context, suite string, rec suiteRecord) (*keySet, error) {
	if l := h.chain(suite).latest.Load(); l != nil {
		return keysOf(ctx, h.repo, expected(rec, l.madeRelease))
	}
	last, err := h.newest(ctx, suite)
	if err != nil {
		return nil, err
	}
	return keysOf(ctx, h.repo, expected(rec, last))
}

func (h handler) getKey(w http.ResponseWriter, r *http.Request, p Path) error {
	s, err := h.keysOfSuite(r.Context(), distsDir+"/"+h.repo.Option("suite"))
	if err != nil {
		return err
	}
	b, err := s.public(p.File == "key.asc")
	if err != nil {
		return err
	}
	return h.send(w, r, &millpond.Content{ReadSeekCloser: textBody(b), Size: int64(len(b)), Digest: millpond.SHA256(b)}, typeKey, "max-age=300")
}

// getSources answers with a deb822 source of a suite: ?suite= and ?component= choose, else the option suite. One that is made here,
// or is going to be, has the repository's key in it; an upstream's, whose Release is served as it was signed, that of the option
// keyring, if there is one, and By-Hash where its Release does not tell apt of it.
func (h handler) getSources(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	suite, components := q.Get("suite"), q["component"]
	if suite == "" {
		suite = h.repo.Option("suite")
	}
	name, words := distsDir+"/"+suite, []string{suite}
	if isFlat(suite) {
		name, words, components = suite, nil, nil
		if dir := flatDir(suite); flatName(dir) != suite || dir != "" && !clean(dir) {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.60q is no flat suite, which is ./ or a folder and a slash", suite)}
		}
	} else if len(components) == 0 {
		components = []string{"main"}
	}
	for _, word := range append(words, components...) {
		if !isSuiteWord(word) {
			return &millpond.Error{Kind: millpond.Invalid, Why: fmt.Sprintf("%.60q is no suite or component", word)}
		}
	}
	out := deb822{uri: strings.TrimSuffix(h.repo.Base(r).String(), "/"), suite: suite, components: components}
	_, versions, err := h.suite(r.Context(), name, time.Time{})
	if err != nil && !millpond.Is(err, millpond.NotFound) {
		return err
	}
	if len(versions) > 0 && !h.curates(name) {
		if err := out.verbatim(&versions[0], h.repo.Option("keyring"), len(q["component"]) > 0); err != nil {
			return err
		}
	} else {
		s, err := h.keysOfSuite(r.Context(), name)
		if err != nil {
			return err
		}
		key, err := s.public(true)
		if err != nil {
			return err
		}
		out.key = string(key)
	}
	b := []byte(out.String())
	return h.send(w, r, &millpond.Content{ReadSeekCloser: textBody(b), Size: int64(len(b)), Digest: millpond.SHA256(b)}, typeText, "no-cache")
}

// A deb822 is a source as apt reads it from a file of /etc/apt/sources.list.d.
type deb822 struct {
	uri, suite string
	components []string
	key        string // in armor
	keyring    string // the names of files that have it, where key is ""
	forced     bool   // indexes are asked for by hash, whatever the Release says
}

// verbatim fills in what is known of an upstream's suite.
func (d *deb822) verbatim(v *millpond.Version, keyring string, chosen bool) error {
	fields := map[string]string{}
	if err := json.Unmarshal(v.Meta, &fields); err != nil {
		return fmt.Errorf("read the fields of %s: %w", d.suite, err)
	}
	d.forced = !strings.EqualFold(fields["Acquire-By-Hash"], "yes")
	if listed := strings.Fields(fields["Components"]); !chosen && len(listed) > 0 && !slices.Contains(listed, "main") {
		d.components = listed
	}
	if strings.Contains(keyring, "-----BEGIN PGP") {
		d.key = keyring
	} else {
		d.keyring = strings.Join(strings.Fields(keyring), " ")
	}
	return nil
}

func (d *deb822) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Types: deb\nURIs: %s\nSuites: %s\n", d.uri, d.suite)
	if len(d.components) > 0 { // a flat suite has none
		fmt.Fprintf(&b, "Components: %s\n", strings.Join(d.components, " "))
	}
	if d.forced {
		b.WriteString("By-Hash: force\n")
	}
	switch {
	case d.key != "":
		b.WriteString("Signed-By:\n")
		for line := range strings.Lines(strings.TrimSpace(d.key)) {
			if line = strings.TrimRight(line, "\r\n \t"); line == "" {
				line = "."
			}
			b.WriteString(" " + line + "\n")
		}
	case d.keyring != "":
		b.WriteString("Signed-By: " + d.keyring + "\n")
	}
	return b.String()
}

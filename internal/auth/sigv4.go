package auth

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

const (
	sigAlgorithm = "AWS4-HMAC-SHA256"
	sigTime      = "20060102T150405Z"
	sigSkew      = 15 * time.Minute
	sigLongest   = 7 * 24 * time.Hour
	sigTrailer   = 16 << 10 // bytes behind the last chunk
	unsigned     = "UNSIGNED-PAYLOAD"
	emptySum     = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// A signature is what a request says of its AWS Signature Version 4.
type signature struct {
	keyID, scope, date string // scope is date/region/service/aws4_request
	headers            []string
	sum                []byte
	payload            string // what it says of its body
	query              bool   // it stands in the query
}

func malformedSignature(why string) error {
	return wrong(millpond.Unauthenticated, "the request's signature cannot be read: "+why, "sign it with AWS Signature Version 4")
}

// signedQuery reports whether a request is signed in its query.
func signedQuery(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, "X-Amz-Signature=")
}

// readSignature reads the signature of a request, and judges all but whether it fits.
func readSignature(r *http.Request, now time.Time) (*signature, error) {
	v := &signature{query: signedQuery(r)}
	var credential, headers, sum, life string
	if v.query {
		if len(r.Header["Authorization"]) > 0 {
			return nil, errTwo
		}
		q := r.URL.Query()
		if q.Get("X-Amz-Algorithm") != sigAlgorithm {
			return nil, malformedSignature("it is not " + sigAlgorithm)
		}
		credential, headers, sum, life = q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature"), q.Get("X-Amz-Expires")
		v.date, v.payload = q.Get("X-Amz-Date"), unsigned
		if p := r.Header.Get("X-Amz-Content-Sha256"); p != "" {
			v.payload = p
		}
	} else {
		rest := strings.TrimPrefix(r.Header.Get("Authorization"), sigAlgorithm+" ")
		for one := range strings.SplitSeq(rest, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
			switch name {
			case "Credential":
				credential = value
			case "SignedHeaders":
				headers = value
			case "Signature":
				sum = value
			}
		}
		v.date, v.payload = r.Header.Get("X-Amz-Date"), r.Header.Get("X-Amz-Content-Sha256")
	}
	var ok bool
	if v.keyID, v.scope, ok = strings.Cut(credential, "/"); !ok || strings.Count(v.scope, "/") != 3 || !strings.HasSuffix(v.scope, "/s3/aws4_request") {
		return nil, malformedSignature("its credential is not ID/date/region/s3/aws4_request")
	}
	at, err := time.Parse(sigTime, v.date)
	if err != nil || !strings.HasPrefix(v.date, v.scope[:strings.IndexByte(v.scope, '/')]) {
		return nil, malformedSignature("its date is none")
	}
	if v.sum, err = hex.DecodeString(sum); err != nil || len(v.sum) != sha256.Size {
		return nil, malformedSignature("it is no sha256 in hex")
	}
	v.headers = strings.Split(headers, ";")
	signed := make(map[string]bool, len(v.headers))
	for _, name := range v.headers {
		if signed[name] || strings.ToLower(name) != name { // or the text that is signed would be longer than the request by any factor
			return nil, malformedSignature("it signs a header twice, or one that it does not spell in lower case")
		}
		signed[name] = true
	}
	if !signed["host"] {
		return nil, malformedSignature("it does not sign the host")
	}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !signed[name] && (!v.query || name != "x-amz-content-sha256") {
			return nil, malformedSignature("it does not sign " + name)
		}
	}
	late := sigSkew
	if v.query {
		seconds, err := strconv.ParseInt(life, 10, 64)
		if late = time.Duration(seconds) * time.Second; err != nil || seconds < 1 || late > sigLongest {
			return nil, malformedSignature("it is good for 7 days at most")
		}
	}
	if now.Before(at.Add(-sigSkew)) || now.After(at.Add(late)) {
		err := wrong(millpond.Denied, fmt.Sprintf("the request was signed for %s, and it is %s", at.Format(time.DateTime), now.UTC().Format(time.DateTime)), "is the clock right, or did the address expire?")
		if !v.query { // an address that has expired is no matter of clocks
			err = because(err, format.ErrSkew)
		}
		return nil, err
	}
	if v.payload == "" {
		return nil, malformedSignature("X-Amz-Content-Sha256 is missing")
	}
	return v, nil
}

// good reports whether the signature fits. Behind a front server the client may have signed the address of public_url.
func (v *signature) good(r *http.Request, secret, public string) bool {
	hosts, paths := []string{r.Host}, []string{sentPath(r)}
	if u, err := url.Parse(public); err == nil && public != "" {
		if !slices.Contains(hosts, u.Host) {
			hosts = append(hosts, u.Host)
		}
		if under := strings.TrimSuffix(u.EscapedPath(), "/"); under != "" {
			paths = append(paths, under+paths[0])
		}
	}
	key := v.key(secret)
	for _, host := range hosts {
		for _, path := range paths {
			if hmac.Equal(mac(key, v.text(r, host, path)), v.sum) {
				return true
			}
		}
	}
	return false
}

// sentPath is the path as the client sent it.
func sentPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		return r.URL.EscapedPath()
	}
	return path
}

// key is the one that a day's requests are signed with.
func (v *signature) key(secret string) []byte {
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(v.scope, "/") {
		key = mac(key, part)
	}
	return key
}

// text is what is signed.
func (v *signature) text(r *http.Request, host, path string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, canonicalPath(path), canonicalQuery(r.URL.RawQuery))
	for _, name := range v.headers {
		value := ""
		switch name {
		case "host":
			value = host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		default:
			var all []string
			for _, one := range r.Header.Values(name) {
				all = append(all, strings.Join(strings.Fields(one), " "))
			}
			value = strings.Join(all, ",")
		}
		fmt.Fprintf(&b, "%s:%s\n", name, value)
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(v.headers, ";"), v.payload)
	return v.message(sigAlgorithm, hexSum([]byte(b.String())))
}

func (v *signature) message(algorithm string, lines ...string) string {
	return algorithm + "\n" + v.date + "\n" + v.scope + "\n" + strings.Join(lines, "\n")
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// strictly escapes all but letters, digits and "-._~", as signers do.
func strictly(s, also string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~"+also, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func canonicalPath(path string) string {
	plain, err := url.PathUnescape(path)
	if err != nil {
		return path
	}
	return strictly(plain, "/")
}

func canonicalQuery(raw string) string {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return raw
	}
	var all []string
	for name, values := range q {
		if name == "X-Amz-Signature" {
			continue
		}
		for _, value := range values {
			all = append(all, strictly(name, "")+"="+strictly(value, ""))
		}
	}
	slices.SortFunc(all, func(a, b string) int { // by the names first: what stands behind one comes after its own
		return strings.Compare(strings.Replace(a, "=", "\x00", 1), strings.Replace(b, "=", "\x00", 1))
	})
	return strings.Join(all, "&")
}

// guard makes the body fail, before its end, if it is not what was signed.
func (v *signature) guard(r *http.Request, secret string) error {
	if r.Body == nil {
		return nil
	}
	switch v.payload {
	case unsigned, "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		return nil
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
		r.Body = &signedChunks{Closer: r.Body, r: bufio.NewReaderSize(r.Body, 64<<10), v: v, key: v.key(secret),
			before: hex.EncodeToString(v.sum), trailer: strings.HasSuffix(v.payload, "-TRAILER"), sum: sha256.New()}
		return nil
	}
	sum, err := hex.DecodeString(v.payload)
	if err != nil || len(sum) != sha256.Size {
		return malformedSignature("its payload is none that is known here")
	}
	r.Body = &signedBody{ReadCloser: r.Body, want: sum, sum: sha256.New()}
	return nil
}

var errSigned = because(wrong(millpond.Denied, "the body is not what was signed", "nothing was kept; send it again"), format.ErrSignature)

// signedBody is a body whose sha256 was signed.
type signedBody struct {
	io.ReadCloser
	want []byte
	sum  hash.Hash
}

func (b *signedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.sum.Write(p[:n])
	if err == io.EOF && !hmac.Equal(b.sum.Sum(nil), b.want) {
		return n, errSigned
	}
	return n, err
}

// signedChunks passes on a body in chunks as it came, and fails at the end of the first chunk that is not what was signed.
type signedChunks struct {
	io.Closer
	r       *bufio.Reader
	v       *signature
	key     []byte
	before  string // the signature before the next
	now     string // that of the chunk
	trailer bool
	sum     hash.Hash // of the chunk
	left    int64     // of the chunk
	inside  bool
	out     []byte // to be passed on before anything else is read
	over    bool
}

func (c *signedChunks) Read(p []byte) (int, error) {
	for {
		if len(c.out) > 0 {
			n := copy(p, c.out)
			c.out = c.out[n:]
			return n, nil
		}
		if c.over {
			return 0, io.EOF
		}
		if c.left > 0 {
			n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
			c.sum.Write(p[:n])
			c.left -= int64(n)
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
}

// next ends a chunk and begins the next one, or reads the trailer.
func (c *signedChunks) next() error {
	if c.inside {
		if err := c.check(); err != nil {
			return err
		}
		line, err := c.line()
		if err != nil || line != "" {
			return errSigned
		}
	}
	c.inside = true
	line, err := c.line()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the last chunk is missing
	}
	if err != nil {
		return err
	}
	size, signed, ok := strings.Cut(line, ";chunk-signature=")
	n, err := strconv.ParseUint(size, 16, 40)
	if err != nil || !ok {
		return errSigned
	}
	c.left, c.now = int64(n), signed
	if n > 0 {
		return nil
	}
	if err := c.check(); err != nil {
		return err
	}
	c.over = true
	return c.end()
}

// check compares the signature of the chunk that was read.
func (c *signedChunks) check() error {
	text := c.v.message(sigAlgorithm+"-PAYLOAD", c.before, emptySum, hex.EncodeToString(c.sum.Sum(nil)))
	c.sum.Reset()
	if !hmac.Equal([]byte(hex.EncodeToString(mac(c.key, text))), []byte(c.now)) {
		return errSigned
	}
	c.before = c.now
	return nil
}

// end reads what stands behind the last chunk.
func (c *signedChunks) end() error {
	var lines bytes.Buffer
	signed := ""
	for {
		line, err := c.line()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if len(c.out) > sigTrailer { // none of it is passed on before its end
			return errSigned
		}
		if line == "" {
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "x-amz-trailer-signature") {
			signed = strings.TrimSpace(value)
			continue
		}
		fmt.Fprintf(&lines, "%s:%s\n", strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value))
	}
	if !c.trailer {
		if lines.Len() > 0 {
			return errSigned
		}
		return nil
	}
	text := c.v.message(sigAlgorithm+"-TRAILER", c.before, hexSum(lines.Bytes()))
	if !hmac.Equal([]byte(hex.EncodeToString(mac(c.key, text))), []byte(signed)) {
		return errSigned
	}
	return nil
}

// line reads one line and passes it on.
func (c *signedChunks) line() (string, error) {
	line, err := c.r.ReadSlice('\n')
	c.out = append(c.out, line...)
	if err != nil {
		if err == io.EOF && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
}

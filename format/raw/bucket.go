package raw

import (
	"context"
	"encoding/xml"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"millpond"
	"millpond/format"
)

// A bucketPage is a page of an upstream's bucket, as far as it is read here.
type bucketPage struct {
	XMLName     xml.Name `xml:"ListBucketResult"`
	Prefix      string
	IsTruncated bool
	Contents    []struct {
		Key          string
		LastModified time.Time
		ETag         string
		Size         int64
	}
	CommonPrefixes []struct{ Prefix string }
}

// mostPage bounds what an upstream may say of 1,000 names.
const mostPage = 16 << 20

// questionOf is a page of a bucket as the name of a document, which its Source reads.
func questionOf(d directory) string {
	q := url.Values{"list-type": {"2"}, "encoding-type": {"url"}, "max-keys": {strconv.Itoa(d.most)}}
	if d.after != "" {
		q.Set("start-after", d.after)
	}
	if !d.deep {
		q.Set("delimiter", d.cut())
	}
	return q.Encode()
}

// Document reads a page of a bucket: k.Package is the prefix that the names have, "/" for all, k.File the question.
func (s source) Document(ctx context.Context, k millpond.Key) (*format.Document, error) {
	if s.remote.Option("list") != "s3" {
		return nil, &millpond.Error{Kind: millpond.NotFound, Key: k, Why: s.remote.Name() + " lists no directories"}
	}
	q, err := url.ParseQuery(k.File)
	if err != nil {
		return nil, err
	}
	within := s.remote.Option("prefix")
	q.Set("prefix", within+strings.TrimPrefix(k.Package, "/"))
	if after := q.Get("start-after"); after != "" {
		q.Set("start-after", within+after)
	}
	at := s.remote.URL()
	at.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	d, err := s.remote.Document(ctx, format.Request{URL: at.String(), Accept: "application/xml", Limit: mostPage})
	if err != nil {
		return nil, err
	}
	if _, err := readBucket(d.Reader()); err != nil {
		d.Close()
		return nil, &millpond.Error{Kind: millpond.BadUpstream, Key: k, Why: s.remote.Name() + " answers with no page of a bucket", Hint: "is its URL that of the bucket? what lies before the names in it is the option prefix", Err: err}
	}
	return d, nil
}

// readBucket reads a page whose names are escaped as in URLs.
func readBucket(r io.Reader) (*bucketPage, error) {
	p := &bucketPage{}
	if err := xml.NewDecoder(r).Decode(p); err != nil {
		return nil, err
	}
	var err error
	if p.Prefix, err = url.QueryUnescape(p.Prefix); err != nil {
		return nil, err
	}
	for i := range p.Contents {
		if p.Contents[i].Key, err = url.QueryUnescape(p.Contents[i].Key); err != nil {
			return nil, err
		}
	}
	for i := range p.CommonPrefixes {
		if p.CommonPrefixes[i].Prefix, err = url.QueryUnescape(p.CommonPrefixes[i].Prefix); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// page reads one page of a directory: of what is known here, and of the bucket that is read through. Where rules could have a
// word in it only what is known is shown, for they would have to ask about each name.
func (h handler) page(ctx context.Context, d directory) (*listing, error) {
	known, err := h.known(ctx, d)
	if err != nil || h.repo.Option("list") != "s3" || h.repo.Ruled() {
		return known, err
	}
	under := d.prefix
	if under == "" {
		under = "/"
	}
	doc, err := h.repo.Document(ctx, millpond.Key{Package: under, File: questionOf(d)})
	switch {
	case millpond.Is(err, millpond.NotFound):
		return known, nil
	case err != nil && h.s3: // who compares two trees by it would delete what is not listed
		return nil, err
	case err != nil:
		known.Partial = true
		return known, nil
	}
	defer doc.Close()
	p, err := readBucket(doc.Reader())
	if err != nil {
		return nil, err
	}
	return merge(known, h.outside(ctx, p, d), d), nil
}

// outside are the entries of a bucket's page that its reader may see, in order.
func (h handler) outside(ctx context.Context, p *bucketPage, d directory) *listing {
	out := &listing{Path: d.prefix}
	within := strings.TrimSuffix(p.Prefix, d.prefix) // the upstream's option prefix
	only := h.repo.Option("allow")
	i, k := 0, 0
	for i < len(p.Contents) || k < len(p.CommonPrefixes) {
		var e entry
		if k == len(p.CommonPrefixes) || i < len(p.Contents) && p.Contents[i].Key < p.CommonPrefixes[k].Prefix {
			c := &p.Contents[i]
			i++
			e = entry{full: strings.TrimPrefix(c.Key, within), Size: c.Size, Modified: c.LastModified.UTC(), Type: typeOf(c.Key), outside: true}
			if tag := strings.Trim(c.ETag, `"`); len(tag) == 32 {
				e.md5 = tag
			} else {
				e.rec.Parts = tag
			}
		} else {
			e = entry{full: strings.TrimPrefix(p.CommonPrefixes[k].Prefix, within), outside: true, isPrefix: true}
			k++
		}
		if p.IsTruncated {
			out.Next = e.full // how far this page tells of names, whether they are shown or not
		}
		if _, err := (Format{}).Canon(e.full); err != nil || !strings.HasPrefix(e.full, d.prefix) || h.repo.Claimed(e.full) {
			continue
		}
		if only != "" && !e.isPrefix && !anyCovers(only, e.full) || h.repo.May(ctx, millpond.VerbRead, e.full) != nil {
			continue
		}
		e.Name = e.full[len(d.prefix):]
		out.Entries = append(out.Entries, e)
	}
	return out
}

// merge makes one page of two, of which the first tells of names that both have. It ends where either of them does not know
// what comes next.
func merge(a, b *listing, d directory) *listing {
	out := &listing{Path: a.Path, Entries: []entry{}, whole: true}
	i, k := 0, 0
	for i < len(a.Entries) || k < len(b.Entries) {
		var e *entry
		switch {
		case k == len(b.Entries) || i < len(a.Entries) && a.Entries[i].full <= b.Entries[k].full:
			if e = &a.Entries[i]; k < len(b.Entries) && b.Entries[k].full == e.full {
				k++
			}
			i++
		default:
			e = &b.Entries[k]
			k++
		}
		if a.Next != "" && e.full > a.Next || b.Next != "" && e.full > b.Next {
			break
		}
		if len(out.Entries) == d.most {
			out.Next = out.Entries[d.most-1].full
			return out
		}
		out.Entries = append(out.Entries, *e)
	}
	switch {
	case a.Next != "" && b.Next != "":
		out.Next = min(a.Next, b.Next)
	default:
		out.Next = a.Next + b.Next // one of them, or none
	}
	return out
}

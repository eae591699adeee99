package pear

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	deepest   = 64
	mostNodes = 400_000
)

// A node is an element of a document: PEAR's are read alike, whatever namespace they are written in.
type node struct {
	name  string
	attrs []xml.Attr // without those of namespaces
	text  string     // trimmed
	kids  []*node
}

// readXML reads a document whole. A document type is refused: none of PEAR's has one, and it could name files.
func readXML(r io.Reader) (*node, error) {
	d := xml.NewDecoder(r)
	d.CharsetReader = charset
	var root *node
	var stack []*node
	var texts [][]byte
	nodes := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.Directive:
			return nil, errors.New("it has a document type")
		case xml.StartElement:
			n := &node{name: token.Name.Local}
			for _, a := range token.Attr {
				if a.Name.Space == "" && a.Name.Local != "xmlns" {
					n.attrs = append(n.attrs, a)
				}
			}
			if nodes++; nodes > mostNodes || len(stack) >= deepest {
				return nil, errors.New("it has too many elements")
			}
			if len(stack) > 0 {
				top := stack[len(stack)-1]
				top.kids = append(top.kids, n)
			} else {
				root = n
			}
			stack, texts = append(stack, n), append(texts, nil)
		case xml.EndElement:
			i := len(stack) - 1
			stack[i].text = strings.TrimSpace(string(texts[i]))
			stack, texts = stack[:i], texts[:i]
		case xml.CharData:
			if i := len(texts) - 1; i >= 0 {
				texts[i] = append(texts[i], token...)
			}
		}
	}
	if root == nil {
		return nil, errors.New("it is empty")
	}
	return root, nil
}

func charset(label string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "us-ascii", "ascii":
		return r, nil
	case "iso-8859-1", "latin1", "iso-8859-15", "windows-1252":
		b, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		return strings.NewReader(string(runes)), nil
	}
	return nil, fmt.Errorf("it is written in %q", label)
}

// kid is the first element of that name below n, or an empty one.
func (n *node) kid(names ...string) *node {
	for _, name := range names {
		var next *node
		for _, k := range n.kids {
			if k.name == name {
				next = k
				break
			}
		}
		if next == nil {
			return &node{}
		}
		n = next
	}
	return n
}

// all are the elements of that name below n.
func (n *node) all(name string) []*node {
	var out []*node
	for _, k := range n.kids {
		if k.name == name {
			out = append(out, k)
		}
	}
	return out
}

func (n *node) attr(name string) string {
	for _, a := range n.attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// esc is text as it stands in a document.
func esc(s string) string {
	if !strings.ContainsAny(s, "<>&'\"\t\n\r") && strings.ToValidUTF8(s, "") == s {
		return s
	}
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s)) // memory does not fail
	return strings.ReplaceAll(b.String(), "&#xA;", "\n")
}

const xmlHead = `<?xml version="1.0" encoding="UTF-8" ?>` + "\n"

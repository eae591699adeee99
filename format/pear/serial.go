package pear

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	serialLimit = 1 << 20
	serialDepth = 16
)

// checkSerial accepts a value as PHP serialises it, if it is made of arrays, strings, numbers, booleans and null alone: the
// client gives the text to unserialize(), which makes objects of what says so.
func checkSerial(s string) error {
	if len(s) > serialLimit {
		return fmt.Errorf("it has more than %d bytes", serialLimit)
	}
	rest, err := skipSerial(strings.TrimRight(s, " \r\n\t"), 0)
	if err == nil && rest != "" {
		err = fmt.Errorf("it goes on behind its end: %.20q", rest)
	}
	return err
}

func skipSerial(s string, depth int) (string, error) {
	if depth > serialDepth {
		return "", fmt.Errorf("it is more than %d deep", serialDepth)
	}
	if strings.HasPrefix(s, "N;") {
		return s[2:], nil
	}
	if len(s) < 4 || s[1] != ':' {
		return "", fmt.Errorf("no value begins with %.10q", s)
	}
	kind, s := s[0], s[2:]
	switch kind {
	case 'b', 'i', 'd':
		value, rest, ok := strings.Cut(s, ";")
		switch _, err := strconv.ParseInt(value, 10, 64); {
		case !ok, kind == 'i' && err != nil, kind == 'b' && value != "0" && value != "1":
			return "", fmt.Errorf("%.20q is no number", value)
		}
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return "", fmt.Errorf("%.20q is no number", value)
		}
		return rest, nil
	case 's':
		n, s, err := serialLength(s)
		if err != nil {
			return "", err
		}
		if len(s) < n+3 || s[0] != '"' || s[n+1:n+3] != `";` {
			return "", fmt.Errorf("a string has not the %d bytes that it says", n)
		}
		return s[n+3:], nil
	case 'a':
		n, s, err := serialLength(s)
		if err != nil {
			return "", err
		}
		var ok bool
		if s, ok = strings.CutPrefix(s, "{"); !ok {
			return "", fmt.Errorf("an array begins with %.10q", s)
		}
		for range n {
			if s == "" || s[0] != 'i' && s[0] != 's' {
				return "", fmt.Errorf("no key begins with %.10q", s)
			}
			if s, err = skipSerial(s, depth+1); err != nil {
				return "", err
			}
			if s, err = skipSerial(s, depth+1); err != nil {
				return "", err
			}
		}
		if s, ok = strings.CutPrefix(s, "}"); !ok {
			return "", fmt.Errorf("an array has not the %d values that it says", n)
		}
		return s, nil
	}
	return "", fmt.Errorf("a value of kind %q is not taken", kind)
}

// serialLength reads "12:".
func serialLength(s string) (int, string, error) {
	number, rest, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(number, 10, 31)
	if !ok || err != nil || int(n) > len(rest) {
		return 0, "", fmt.Errorf("%.20q is no length of what follows", number)
	}
	return int(n), rest, nil
}

func serialString(b *strings.Builder, s string) {
	fmt.Fprintf(b, `s:%d:"%s";`, len(s), s)
}

// serialNode writes an element as PEAR's own reader of XML gives it to PHP: one without attributes and elements is its text;
// else it is an array of them by name, in which elements of one name are a list.
func serialNode(b *strings.Builder, n *node) {
	if len(n.kids) == 0 && len(n.attrs) == 0 {
		serialString(b, n.text)
		return
	}
	var names []string
	by := map[string][]*node{}
	for _, k := range n.kids {
		if by[k.name] == nil {
			names = append(names, k.name)
		}
		by[k.name] = append(by[k.name], k)
	}
	fields := len(names)
	if len(n.attrs) > 0 {
		fields++
	}
	if n.text != "" {
		fields++
	}
	fmt.Fprintf(b, "a:%d:{", fields)
	if len(n.attrs) > 0 {
		serialString(b, "attribs")
		fmt.Fprintf(b, "a:%d:{", len(n.attrs))
		for _, a := range n.attrs {
			serialString(b, a.Name.Local)
			serialString(b, a.Value)
		}
		b.WriteString("}")
	}
	for _, name := range names {
		serialString(b, name)
		list := by[name]
		if len(list) == 1 {
			serialNode(b, list[0])
			continue
		}
		fmt.Fprintf(b, "a:%d:{", len(list))
		for i, one := range list {
			fmt.Fprintf(b, "i:%d;", i)
			serialNode(b, one)
		}
		b.WriteString("}")
	}
	if n.text != "" {
		serialString(b, "_content")
		serialString(b, n.text)
	}
	b.WriteString("}")
}

// serialDeps is deps.V.txt of a package.xml.
func serialDeps(deps *node) string {
	if len(deps.kids) == 0 {
		return "b:0;"
	}
	var b strings.Builder
	serialNode(&b, deps)
	return b.String()
}

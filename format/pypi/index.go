package pypi

import (
	"bufio"
	"html"
	"io"
	"iter"
	"strconv"

	"millpond/format"
)

// serialOf is the serial that an upstream's list gave a name; 0 if it gave none.
func serialOf(cursor string) int64 {
	n, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// writeIndex writes the root index in one form, as a stream: it may have a million names. serial is the highest, number that of
// a name.
func writeIndex(w io.Writer, f form, names iter.Seq2[format.Change, error], serial int64, number func(c format.Change) int64) error {
	b := bufio.NewWriterSize(w, 64<<10)
	var each func(name, display string, serial int64)
	var end func(serial int64)
	if f == formJSON {
		each, end = indexJSON(b)
	} else {
		each, end = indexHTML(b, f)
	}
	for c, err := range names {
		if err != nil {
			return err
		}
		display := c.Display
		if display == "" {
			display = c.Name
		}
		each(c.Name, display, number(c))
	}
	end(serial)
	return b.Flush() // which returns the first error of all writes
}

func indexJSON(b *bufio.Writer) (each func(name, display string, serial int64), end func(serial int64)) {
	b.WriteString(`{"projects":[`)
	comma := ""
	each = func(_, display string, serial int64) {
		b.WriteString(comma + `{"name":`)
		b.Write(quote(display))
		if serial != 0 {
			b.WriteString(`,"_last-serial":` + strconv.FormatInt(serial, 10))
		}
		b.WriteByte('}')
		comma = ","
	}
	end = func(serial int64) {
		b.WriteString(`],"meta":{`)
		if serial != 0 {
			b.WriteString(`"_last-serial":` + strconv.FormatInt(serial, 10) + `,`)
		}
		b.WriteString(`"api-version":"1.4"}}` + "\n")
	}
	return each, end
}

func indexHTML(b *bufio.Writer, f form) (each func(name, display string, serial int64), end func(serial int64)) {
	b.WriteString("<!DOCTYPE html>\n")
	if f == formV1HTML { // other bytes than text/html, and so an entity tag of its own
		b.WriteString("<!-- " + typeV1HTML + " -->\n")
	}
	b.WriteString("<html>\n<head>\n<meta name=\"pypi:repository-version\" content=\"1.4\">\n" +
		"<title>Simple index</title>\n</head>\n<body>\n")
	each = func(name, display string, _ int64) {
		b.WriteString(`<a href="` + name + `/">` + html.EscapeString(display) + "</a><br>\n")
	}
	end = func(serial int64) {
		b.WriteString("</body>\n</html>\n")
		if serial != 0 {
			b.WriteString("<!--SERIAL " + strconv.FormatInt(serial, 10) + "-->\n")
		}
	}
	return each, end
}

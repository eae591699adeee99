package rubygems

import (
	"io"
	"time"
)

// A dumper writes Ruby's Marshal, version 4.8, as far as indexes and quick specs need it. It writes each object anew, which
// readers take as well as links; symbols are linked, for readers insist.
type dumper struct {
	w       io.Writer
	symbols map[string]int
	buf     []byte
	err     error
}

// newDumper writes the version, which begins every dump.
func newDumper(w io.Writer) *dumper {
	d := &dumper{w: w, symbols: map[string]int{}}
	d.raw(4, 8)
	return d
}

func (d *dumper) raw(b ...byte) {
	d.buf = append(d.buf, b...)
	if len(d.buf) >= 32<<10 {
		d.flush()
	}
}

func (d *dumper) flush() error {
	if d.err == nil && len(d.buf) > 0 {
		_, d.err = d.w.Write(d.buf)
	}
	d.buf = d.buf[:0]
	return d.err
}

// number is a Fixnum without its type: a length, an index.
func (d *dumper) number(n int) {
	switch {
	case n == 0:
		d.raw(0)
	case n > 0 && n < 123:
		d.raw(byte(n + 5))
	case n < 0 && n > -124:
		d.raw(byte(n - 5))
	default:
		var b []byte
		for v := n; v != 0 && v != -1; v >>= 8 {
			b = append(b, byte(v))
		}
		size := byte(len(b))
		if n < 0 {
			size = -size
		}
		d.raw(size)
		d.raw(b...)
	}
}

func (d *dumper) nil()          { d.raw('0') }
func (d *dumper) integer(n int) { d.raw('i'); d.number(n) }

func (d *dumper) boolean(b bool) {
	if b {
		d.raw('T')
	} else {
		d.raw('F')
	}
}

func (d *dumper) bytes(s string) {
	d.number(len(s))
	d.raw([]byte(s)...)
}

func (d *dumper) symbol(s string) {
	if at, ok := d.symbols[s]; ok {
		d.raw(';')
		d.number(at)
		return
	}
	d.symbols[s] = len(d.symbols)
	d.raw(':')
	d.bytes(s)
}

// text is a String in UTF-8.
func (d *dumper) text(s string) {
	d.raw('I', '"')
	d.bytes(s)
	d.number(1)
	d.symbol("E")
	d.boolean(true)
}

// optional is a String, or nil for the empty one.
func (d *dumper) optional(s string) {
	if s == "" {
		d.nil()
		return
	}
	d.text(s)
}

func (d *dumper) array(n int) { d.raw('['); d.number(n) }

func (d *dumper) texts(all []string) {
	d.array(len(all))
	for _, one := range all {
		d.text(one)
	}
}

// dumped is an object whose class makes itself of an array or text: it follows.
func (d *dumper) dumped(class string) { d.raw('U'); d.symbol(class) }

func (d *dumper) version(number string) {
	d.dumped("Gem::Version")
	d.array(1)
	d.text(number)
}

func (d *dumper) requirement(all []constraint) {
	d.dumped("Gem::Requirement")
	d.array(1)
	d.array(len(all))
	for _, one := range all {
		d.array(2)
		d.text(one.op)
		d.version(one.version)
	}
}

// object begins an object with that many instance variables.
func (d *dumper) object(class string, variables int) {
	d.raw('o')
	d.symbol(class)
	d.number(variables)
}

func (d *dumper) dependency(one dependency) {
	d.object("Gem::Dependency", 5)
	d.symbol("@name")
	d.text(one.name)
	d.symbol("@requirement")
	d.requirement(one.requirements)
	d.symbol("@type")
	d.symbol(one.kind)
	d.symbol("@prerelease")
	d.boolean(one.prerelease)
	d.symbol("@version_requirements")
	d.requirement(one.requirements)
}

// platform is "ruby" as text, and any other as its object: p, if that is something.
func (d *dumper) platform(name string, p platform) {
	if name == "ruby" {
		d.text(name)
		return
	}
	if p == (platform{}) {
		p = readPlatform(name)
	}
	d.object("Gem::Platform", 3)
	d.symbol("@cpu")
	d.optional(p.cpu)
	d.symbol("@os")
	d.optional(p.os)
	d.symbol("@version")
	d.optional(p.version)
}

// time is a Time in UTC, to the second.
func (d *dumper) time(t time.Time) {
	t = t.UTC()
	year := min(max(t.Year(), 1900), 1900+1<<16-1)
	head := uint32(1)<<31 | 1<<30 | uint32(year-1900)<<14 | uint32(t.Month()-1)<<10 | uint32(t.Day())<<5 | uint32(t.Hour())
	tail := uint32(t.Minute())<<26 | uint32(t.Second())<<20
	d.raw('I', 'u')
	d.symbol("Time")
	d.number(8)
	for _, word := range [2]uint32{head, tail} {
		d.raw(byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	d.number(1)
	d.symbol("zone")
	d.raw('I', '"')
	d.bytes("UTC")
	d.number(1)
	d.symbol("E")
	d.boolean(false)
}

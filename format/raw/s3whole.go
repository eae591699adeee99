package raw

import (
	"context"
	"fmt"
	"io"

	"millpond"
)

// concatenated reads the parts one after another.
type concatenated struct {
	h      handler
	ctx    context.Context
	name   string
	parts  []part
	placed *assembly // where those are that have a place; nil if none can
	now    io.ReadCloser
}

func (c *concatenated) Read(p []byte) (int, error) {
	for {
		if c.now == nil {
			if len(c.parts) == 0 {
				return 0, io.EOF
			}
			var err error
			if c.now, err = c.open(&c.parts[0]); err != nil {
				return 0, err
			}
			c.parts = c.parts[1:]
		}
		n, err := c.now.Read(p)
		if err == io.EOF {
			c.close()
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *concatenated) close() {
	if c.now != nil {
		c.now.Close()
		c.now = nil
	}
}

func (c *concatenated) open(p *part) (io.ReadCloser, error) {
	if p.At < 0 {
		return c.h.repo.Open(c.ctx, millpond.Key{Package: c.name, File: p.file})
	}
	if c.placed == nil {
		return nil, code("InvalidPart", millpond.Invalid, fmt.Sprintf("part %d is no longer here; send it again", p.number))
	}
	return io.NopCloser(io.NewSectionReader(c.placed.up, p.At, p.Size)), nil
}

package raw

import (
	"context"
	"io"

	"millpond"
)

// concatenated reads the parts one after another.
type concatenated struct {
	h     handler
	ctx   context.Context
	name  string
	parts []millpond.File
	now   *millpond.Content
}

func (c *concatenated) Read(p []byte) (int, error) {
	for {
		if c.now == nil {
			if len(c.parts) == 0 {
				return 0, io.EOF
			}
			var err error
			if c.now, err = c.h.repo.Open(c.ctx, millpond.Key{Package: c.name, File: c.parts[0].Name}); err != nil {
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

package transfer

import (
	"context"
	"io"
)

// patient is a stream that ends with a context: a file may have terabytes, of holes alone.
type patient struct {
	ctx context.Context //nolint:containedctx // of the call
	in  io.Reader
	out io.Writer
}

func (p patient) Read(into []byte) (int, error) {
	if err := context.Cause(p.ctx); err != nil {
		return 0, err
	}
	return p.in.Read(into)
}

func (p patient) Write(text []byte) (int, error) {
	if err := context.Cause(p.ctx); err != nil {
		return 0, err
	}
	return p.out.Write(text)
}

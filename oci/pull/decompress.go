package pull

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"

	"github.com/coracle-run/coracle/oci/inflate"
	"github.com/coracle-run/coracle/oci/registry"
)

var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	// A stream may begin with a skippable frame: 0x184D2A50 to 0x184D2A5F, little endian (RFC 8878, 3.1.2).
	skippableMagic = []byte{0x2a, 0x4d, 0x18}
)

// errCompression is a stream that cannot be inflated.
var errCompression = errors.New("damaged compressed stream")

// peeked is how far the beginning of a stream is looked at. Larger reads go past that buffer.
const peeked = 512

// decompress inflates a layer. What it is shows at its beginning; a media type that says otherwise is refused, since
// another client may go by that.
func (m memory) decompress(ctx context.Context, r io.Reader, mediaType string) (pieces, func(), error) {
	in := bufio.NewReaderSize(r, peeked)
	head, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	is := registry.Plain
	switch {
	case bytes.HasPrefix(head, gzipMagic):
		is = registry.Gzip
	case bytes.HasPrefix(head, zstdMagic), len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], skippableMagic):
		is = registry.Zstd
	}
	if said, ok := registry.LayerCompression(mediaType); !ok || said != is {
		return nil, nil, fmt.Errorf("%w: %s, but the content is %s", registry.ErrMediaType, mediaType, is)
	}
	switch is {
	case registry.Gzip:
		z, err := inflate.NewReader(in)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errCompression, err)
		}
		return inflating{z}, func() {}, nil
	case registry.Zstd:
		return m.unzstd(ctx, in)
	}
	return &filled{r: in}, func() {}, nil
}

// unzstd inflates zstd frames whose windows fit into memory. It may wait until other layers have left enough of it.
func (m memory) unzstd(ctx context.Context, in *bufio.Reader) (pieces, func(), error) {
	head, err := in.Peek(zstd.HeaderMaxSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	window, release, err := m.reserveWindow(ctx, windowOf(head))
	if err != nil {
		return nil, nil, err
	}
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(window)))
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("%w: %w", errCompression, err)
	}
	return inflating{&filled{r: windowed{z, m}}}, func() { z.Close(); release() }, nil
}

// windowOf is the window of the first frame of a stream, 0 if it does not say.
func windowOf(head []byte) int64 {
	var first zstd.Header
	if first.Decode(head) != nil || first.Skippable {
		return 0
	}
	window := first.WindowSize
	if first.SingleSegment {
		window = first.FrameContentSize
	}
	return int64(min(window, math.MaxInt64))
}

// windowed says of a frame in the middle that its window is too large for the budget.
type windowed struct {
	r io.Reader
	m memory
}

func (w windowed) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = w.m.tooWide(0)
	}
	return n, err
}

// inflating marks the errors of a decompressor.
type inflating struct{ pieces }

// Next implements pieces.
func (i inflating) Next() (*inflate.Chunk, error) {
	c, err := i.pieces.Next()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, ErrMemory) {
		err = fmt.Errorf("%w: %w", errCompression, err)
	}
	return c, err
}

package pull

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

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

// decompress inflates a layer. What it is shows at its beginning; a media type that says otherwise is refused, since
// another client may go by that.
func (m memory) decompress(r io.Reader, mediaType string) (io.Reader, func(), error) {
	in := bufio.NewReaderSize(r, chunkSize)
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
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errCompression, err)
		}
		return inflating{z}, func() {}, nil
	case registry.Zstd:
		return m.unzstd(in)
	}
	return in, func() {}, nil
}

// unzstd inflates zstd frames whose windows fit into memory.
func (m memory) unzstd(in *bufio.Reader) (io.Reader, func(), error) {
	var first zstd.Header
	head, err := in.Peek(zstd.HeaderMaxSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if first.Decode(head) == nil && first.WindowSize > uint64(m.window) {
		return nil, nil, m.tooWide(int64(min(first.WindowSize, math.MaxInt64)))
	}
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(uint64(m.window)))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errCompression, err)
	}
	return inflating{windowed{z, m}}, z.Close, nil
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
type inflating struct{ r io.Reader }

func (i inflating) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, ErrMemory) {
		err = fmt.Errorf("%w: %w", errCompression, err)
	}
	return n, err
}

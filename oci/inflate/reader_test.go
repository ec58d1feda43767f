package inflate

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"unsafe"

	kgzip "github.com/klauspost/compress/gzip"
)

// Contents of different kinds: what does not compress, what does, near and far matches, long ones across the borders of chunks.
func contents() map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	words := strings.Fields("the layer of an image is a tar file that is compressed and has a digest usr lib python site packages __init__ .so")
	var text bytes.Buffer
	for text.Len() < 400_000 {
		text.WriteString(words[rnd.IntN(len(words))])
		text.WriteByte(" \n/_"[rnd.IntN(4)])
	}
	var periods, far bytes.Buffer
	for i := 1; periods.Len() < 300_000; i = i%40 + 1 {
		periods.Write(bytes.Repeat(noise[i*50:i*51], 300+i*20))
	}
	for far.Len() < 200_000 {
		far.Write(noise[:32<<10]) // exactly the window apart
	}
	skewed := make([]byte, 200_000) // long words
	for i := range skewed {
		for skewed[i] < 200 && rnd.IntN(2) == 0 {
			skewed[i]++
		}
	}
	return map[string][]byte{
		"nothing": nil, "a byte": []byte("a"), "zeros": make([]byte, 400_000), "noise": noise, "text": text.Bytes(),
		"periods": periods.Bytes(), "far": far.Bytes(), "skewed": skewed, "a chunk": noise[:ChunkSize], "a chunk and a byte": noise[:ChunkSize+1],
	}
}

// compress makes a gzip stream with Go's compressor or klauspost's.
func compress(t testing.TB, content []byte, level int, klauspost bool) []byte {
	t.Helper()
	var out bytes.Buffer
	var z io.WriteCloser
	var err error
	if klauspost {
		z, err = kgzip.NewWriterLevel(&out, level)
	} else {
		z, err = gzip.NewWriterLevel(&out, level)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCompressors(t *testing.T) {
	for name, content := range contents() {
		for level := gzip.HuffmanOnly; level <= 9; level++ {
			for _, klauspost := range []bool{false, true} {
				stream := compress(t, content, level, klauspost)
				got, err := all(stream, 1<<20)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%s, level %d, klauspost %v: %d bytes of %d, %v", name, level, klauspost, len(got), len(content), err)
				}
			}
		}
	}
}

func TestWaysOfReading(t *testing.T) {
	content := contents()["text"]
	stream := compress(t, content, 6, false)
	readers := map[string]func(io.Reader) io.Reader{
		"plain":        func(r io.Reader) io.Reader { return r },
		"byte by byte": iotest.OneByteReader,
		"half":         iotest.HalfReader,
		"end at once":  iotest.DataErrReader,
		"13 bytes":     func(r io.Reader) io.Reader { return &steps{r, 13} },
		"33 bytes":     func(r io.Reader) io.Reader { return &steps{r, 33} },
		"1400 bytes":   func(r io.Reader) io.Reader { return &steps{r, 1400} },
	}
	writers := map[string]func(*Reader) ([]byte, error){
		"Read": func(z *Reader) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{z}) },
		"WriteTo": func(z *Reader) ([]byte, error) {
			var b bytes.Buffer
			n, err := z.WriteTo(&b)
			if n != int64(b.Len()) {
				err = fmt.Errorf("%d bytes said, %d written", n, b.Len())
			}
			return b.Bytes(), err
		},
		"Read by bytes": func(z *Reader) ([]byte, error) { return io.ReadAll(iotest.OneByteReader(z)) },
		"Read, then Next": func(z *Reader) ([]byte, error) {
			var first [1000]byte
			if _, err := io.ReadFull(z, first[:]); err != nil {
				return nil, err
			}
			b := first[:]
			for {
				c, err := z.Next()
				if errors.Is(err, io.EOF) {
					return b, nil
				}
				if err != nil {
					return nil, err
				}
				b = append(b, c.Bytes()...)
				c.Release()
			}
		},
	}
	for from, reader := range readers {
		for to, read := range writers {
			z, err := NewReader(reader(bytes.NewReader(stream)))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := read(z); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s, %s: %d bytes of %d, %v", from, to, len(got), len(content), err)
			}
			if n, err := z.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("%s, %s: at the end %d, %v", from, to, n, err)
			}
		}
	}
}

func TestIotest(t *testing.T) {
	content := contents()["text"][:3000]
	z, err := NewReader(bytes.NewReader(compress(t, content, 6, false)))
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(z, content); err != nil {
		t.Error(err)
	}
}

// with makes a header with flags and fields.
func with(flags byte, fields ...string) []byte {
	h := bytes.Clone(header)
	h[3] = flags
	return append(h, strings.Join(fields, "")...)
}

func TestHeaders(t *testing.T) {
	rest := member(w().block(1, 1).fixedLit('x').fixedLit(256).done(), []byte("x"))[len(header):]
	whole := append(bytes.Clone(header), rest...)
	crc := func(h []byte) []byte { // appends the FHCRC
		sum := headerReader{summing: true}
		sum.sum(h)
		return append(h, byte(sum.crc), byte(sum.crc>>8))
	}
	long := strings.Repeat("n", 511)
	for _, c := range []struct {
		name   string
		stream []byte
		want   error
	}{
		{"plain", whole, nil},
		{"a name", append(with(hasName, "name\x00"), rest...), nil},
		{"a name of 511 bytes", append(with(hasName, long+"\x00"), rest...), nil},
		{"a name of 512 bytes", append(with(hasName, long+"n\x00"), rest...), ErrHeader},
		{"a comment", append(with(hasComment, "\xff\x00"), rest...), nil},
		{"a comment of 512 bytes", append(with(hasComment, long+"n\x00"), rest...), ErrHeader},
		{"an extra field", append(with(hasExtra, "\x03\x00abc"), rest...), nil},
		{"an empty extra field", append(with(hasExtra, "\x00\x00"), rest...), nil},
		{"an extra field of 65535 bytes", append(with(hasExtra, "\xff\xff", strings.Repeat("e", 65535)), rest...), nil},
		{"everything", append(crc(with(hasCRC|hasExtra|hasName|hasComment, "\x03\x00abc", "name\x00", "comment\x00")), rest...), nil},
		{"a wrong checksum of the header", append(with(hasCRC, "\x00\x00"), rest...), ErrHeader},
		{"the flag for text", append(with(1), rest...), nil},
		{"a reserved flag", append(with(1<<5), rest...), ErrHeader},
		{"another", append(with(1<<7), rest...), ErrHeader},
		{"another method", append([]byte{0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 255}, rest...), ErrHeader},
		{"another magic", append([]byte{0x1f, 0x8c, 8, 0, 0, 0, 0, 0, 0, 255}, rest...), ErrHeader},
		{"no byte", nil, io.ErrUnexpectedEOF},
		{"a name without an end", with(hasName, "name"), io.ErrUnexpectedEOF},
		{"two members", append(bytes.Clone(whole), whole...), nil},
		{"an empty member", append(member(w().block(1, 1).fixedLit(256).done(), nil), whole...), nil},
		{"nothing but an empty member", member(w().block(1, 1).fixedLit(256).done(), nil), nil},
		{"zeros behind", append(bytes.Clone(whole), make([]byte, 512)...), ErrHeader},
		{"one zero behind", append(bytes.Clone(whole), 0), io.ErrUnexpectedEOF},
		{"text behind", append(bytes.Clone(whole), "trailing garbage"...), ErrHeader},
		{"a wrong checksum", append(bytes.Clone(whole[:len(whole)-8]), 1, 2, 3, 4, 1, 0, 0, 0), ErrChecksum},
		{"a wrong size", append(bytes.Clone(whole[:len(whole)-4]), 2, 0, 0, 0), ErrChecksum},
		{"a match into the member before", append(bytes.Clone(whole), member(w().block(1, 1).fixedLit(257).word(0, 5).fixedLit(256).done(), []byte("xxx"))...), errDistance},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := gzip.NewReader(bytes.NewReader(c.stream))
			var want []byte
			if err == nil {
				want, err = io.ReadAll(g)
			}
			if reserves := len(c.stream) > 3 && c.stream[3]&reserved != 0; (err == nil) != (c.want == nil) && !reserves {
				t.Errorf("the expectation is not Go's: %v", err)
			}
			for _, step := range []int{1, 1 << 20} {
				got, err := all(c.stream, step)
				if !errors.Is(err, c.want) || c.want == nil && !bytes.Equal(got, want) {
					t.Errorf("step %d: %q, %v, want %v", step, got, err, c.want)
				}
				if c.want != nil && errors.Is(err, ErrCorrupt) == errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("step %d: neither cut nor corrupt, or both: %v", step, err)
				}
			}
		})
	}
}

func TestOffset(t *testing.T) {
	content := contents()["noise"]
	stream := member(append(w().block(0, 1).fixedLit(256).block(0, 0).align().put(60000, 16).put(60000^0xffff, 16).done(), append(content[:60000:60000], 0xff)...), nil)
	_, err := all(stream, 1000)
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, ErrCorrupt) || !errors.Is(err, errBlockType) {
		t.Fatal(err)
	}
	if want := int64(bytes.LastIndexByte(stream[:len(stream)-8], 0xff)) + 1; e.Offset != want {
		t.Errorf("at %d, want %d", e.Offset, want)
	}
	if e.Error() != fmt.Sprintf("corrupt gzip stream before byte %d: unknown block type", e.Offset) {
		t.Error(e)
	}
}

var errSource = errors.New("of the source")

func TestErrorsOfTheSource(t *testing.T) {
	content := contents()["text"]
	stream := compress(t, content, 6, false)
	for _, n := range []int{0, 5, 12, 5000, 100_000, len(stream) - 3, len(stream)} {
		z, err := NewReader(io.MultiReader(bytes.NewReader(stream[:n]), iotest.ErrReader(errSource)))
		if n < 10 {
			if !errors.Is(err, errSource) {
				t.Errorf("after %d bytes: %v", n, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(z)
		if !errors.Is(err, errSource) || !isPrefix(got, content) || n == len(stream) && len(got) != len(content) {
			t.Errorf("after %d bytes: %d, %v", n, len(got), err)
		}
		if _, again := z.Next(); !errors.Is(again, errSource) {
			t.Errorf("after %d bytes, once more: %v", n, again)
		}
	}
	if _, err := NewReader(idle{}); !errors.Is(err, errNoProgress) {
		t.Errorf("a source that brings nothing: %v", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestWriteToFails(t *testing.T) {
	z, err := NewReader(bytes.NewReader(compress(t, contents()["zeros"], 6, false)))
	if err != nil {
		t.Fatal(err)
	}
	r, wr := io.Pipe()
	_ = r.CloseWithError(errSource)
	if n, err := z.WriteTo(wr); n != 0 || !errors.Is(err, errSource) {
		t.Errorf("%d, %v", n, err)
	}
}

// What the header and the bits at hand suffice for is decoded without a further read.
func TestReadsNoFurther(t *testing.T) {
	stream := member(w().block(1, 1).fixedLit('x').fixedLit(256).done(), []byte("x"))
	one := &counting{r: iotest.OneByteReader(bytes.NewReader(append(bytes.Clone(stream), stream...)))}
	z, err := NewReader(one)
	if err != nil || one.n != len(header) {
		t.Fatalf("%d bytes for the header, %v", one.n, err)
	}
	if end, err := z.d.run(); !end || err != nil || one.n != len(stream)-8 {
		t.Errorf("%d bytes for what takes %d, %v", one.n, len(stream)-8, err)
	}
}

type counting struct {
	r io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// A chunk is read by two users while the decoder goes on; the race detector watches.
func TestSharedChunks(t *testing.T) {
	content := bytes.Repeat(contents()["text"], 3)
	z, err := NewReader(bytes.NewReader(compress(t, content, 1, true)))
	if err != nil {
		t.Fatal(err)
	}
	var users [2]chan *Chunk
	var got [2]bytes.Buffer
	var all sync.WaitGroup
	for i := range users {
		users[i] = make(chan *Chunk, 2)
		all.Go(func() {
			for c := range users[i] {
				got[i].Write(c.Bytes())
				c.Release()
			}
		})
	}
	for {
		c, err := z.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Retain(1)
		users[0] <- c
		users[1] <- c
	}
	close(users[0])
	close(users[1])
	all.Wait()
	for i := range got {
		if !bytes.Equal(got[i].Bytes(), content) {
			t.Errorf("user %d got something else", i)
		}
	}
}

func TestChunk(t *testing.T) {
	c := NewChunk()
	if len(c.Bytes()) != 0 {
		t.Error("a new chunk is not empty")
	}
	if len(c.Buffer()) != ChunkSize {
		t.Errorf("a buffer of %d bytes", len(c.Buffer()))
	}
	c.Resize(copy(c.Buffer(), "abc"))
	if string(c.Bytes()) != "abc" {
		t.Errorf("%q", c.Bytes())
	}
	c.Release()
	defer func() {
		if recover() == nil {
			t.Error("released twice, and nothing said")
		}
	}()
	c.Release()
}

func TestMemory(t *testing.T) {
	if n := unsafe.Sizeof(Reader{}) + unsafe.Sizeof(Chunk{}); n > 400<<10 {
		t.Errorf("a decoder takes %d bytes", n)
	}
	stream := compress(t, contents()["zeros"], 6, false)
	if n := testing.AllocsPerRun(10, func() {
		z, err := NewReader(bytes.NewReader(stream))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
	}); n > 5 {
		t.Errorf("%v allocations", n)
	}
}

package inflate

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
)

// lens makes lengths of words: pairs of symbol and length.
func lens(n int, pairs ...int) []uint8 {
	l := make([]uint8, n)
	for i := 0; i < len(pairs); i += 2 {
		l[pairs[i]] = uint8(pairs[i+1])
	}
	return l
}

func join(a, b []uint8) []uint8 { return slices.Concat(a, b) }

// deep is a complete code with words of all lengths up to 15 for symbols from, from+1, ...
func deep(n, from int) []uint8 {
	l := make([]uint8, n)
	for i := range 15 {
		l[from+i] = uint8(i + 1)
	}
	l[from+15] = 15
	return l
}

func w() *bitWriter { return new(bitWriter) }

// Every edge of DEFLATE. That the expectation is what Go does is tested with it; each stream is decoded as it is, with much
// behind it so that the fast loop runs, and in small reads.
func TestFormat(t *testing.T) {
	const end = 256
	two := lens(257, 'a', 1, end, 1) // a is 0, end is 1
	for _, c := range []struct {
		name    string
		stream  []byte
		content string
		want    error
	}{
		{"an empty stored block", w().block(1, 0).align().put(0, 16).put(0xffff, 16).done(), "", nil},
		{"a stored block", append(w().block(1, 0).align().put(3, 16).put(0xfffc, 16).done(), "abc"...), "abc", nil},
		{"a stored block whose length contradicts itself", append(w().block(1, 0).align().put(3, 16).put(0xfffd, 16).done(), "abc"...), "", errStored},
		{"an empty fixed block", w().block(1, 1).fixedLit(end).done(), "", nil},
		{"a fixed block of all literals' widths", w().block(1, 1).fixedLit(0).fixedLit(143).fixedLit(144).fixedLit(255).fixedLit(end).done(), "\x00\x8f\x90\xff", nil},
		{"several blocks", append(w().block(0, 1).fixedLit('a').fixedLit(end).block(0, 1).fixedLit('b').fixedLit(end).block(1, 0).align().put(1, 16).put(0xfffe, 16).done(), 'c'), "abc", nil},
		{"an unknown block type", w().block(1, 3).put(0, 32).done(), "", errBlockType},
		{"the fixed symbol 286", w().block(1, 1).fixedLit('a').fixedLit(286).put(0, 32).done(), "a", errUnused},
		{"the fixed symbol 287", w().block(1, 1).fixedLit('a').fixedLit(287).put(0, 32).done(), "a", errUnused},
		{"the fixed distance 30", w().block(1, 1).fixedLit('a').fixedLit(257).word(30, 5).put(0, 32).done(), "a", errUnused},
		{"the fixed distance 31", w().block(1, 1).fixedLit('a').fixedLit(257).word(31, 5).put(0, 32).done(), "a", errUnused},
		{"a match", w().block(1, 1).fixedLit('a').fixedLit('b').fixedLit(258).word(1, 5).fixedLit(end).done(), "ababab", nil},
		{"a match before the beginning", w().block(1, 1).fixedLit('a').fixedLit('b').fixedLit(257).word(2, 5).fixedLit(end).done(), "ab", errDistance},
		{"a match at the very beginning", w().block(1, 1).fixedLit(257).word(0, 5).fixedLit(end).done(), "", errDistance},
		{"the longest match", w().block(1, 1).fixedLit('a').fixedLit(285).word(0, 5).fixedLit(end).done(), string(bytes.Repeat([]byte("a"), 259)), nil},
		{"258 with extra bits", w().block(1, 1).fixedLit('a').fixedLit(284).put(31, 5).word(0, 5).fixedLit(end).done(), string(bytes.Repeat([]byte("a"), 259)), nil},

		{"a code of two words", w().block(1, 2).lengths(257, 1, join(two, lens(1))).put(0b100, 3).done(), "aa", nil},
		{"a code of one word for the end", w().block(1, 2).lengths(257, 1, join(lens(257, end, 1), lens(1))).word(0, 1).done(), "", nil},
		{"the word that a code of one word has not", w().block(1, 2).lengths(257, 1, join(lens(257, end, 1), lens(1))).word(1, 1).put(0, 32).done(), "", errUnused},
		{"one word of two bits", w().block(1, 2).lengths(257, 1, join(lens(257, end, 2), lens(1))).word(0, 2).done(), "", errCode},
		{"no words at all", w().block(1, 2).lengths(257, 1, join(lens(257), lens(1))).put(0, 32).done(), "", errUnused},
		{"no word for the end", w().block(1, 2).lengths(257, 1, join(lens(257, 'a', 1, 'b', 1), lens(1))).put(0b10, 2).done(), "abaaaa", io.ErrUnexpectedEOF}, // the rest of the byte is "a",
		{"too many words for literals", w().block(1, 2).lengths(257, 1, join(lens(257, 'a', 1, 'b', 1, end, 1), lens(1))).put(0, 32).done(), "", errCode},
		{"an incomplete code for literals", w().block(1, 2).lengths(257, 1, join(lens(257, 'a', 1, end, 2), lens(1))).put(0, 32).done(), "", errCode},
		{"a code with words of 15 bits", w().block(1, 2).lengths(257, 1, join(deep(257, 241), lens(1))).word(1<<15-1, 15).done(), "", nil},
		{"a literal of 14 bits", w().block(1, 2).lengths(257, 1, join(deep(257, 241), lens(1))).word(1<<14-2, 14).word(0, 1).word(1<<15-1, 15).done(), "\xfe\xf1", nil},

		{"one distance", w().block(1, 2).lengths(258, 1, join(lens(258, 'a', 1, end, 2, 257, 2), lens(1, 0, 1))).word(0, 1).word(3, 2).word(0, 1).word(2, 2).done(), "aaaa", nil},
		{"the other word of one distance", w().block(1, 2).lengths(258, 1, join(lens(258, 'a', 1, end, 2, 257, 2), lens(1, 0, 1))).word(0, 1).word(3, 2).word(1, 1).put(0, 32).done(), "a", errUnused},
		{"a match without any distance", w().block(1, 2).lengths(258, 1, join(lens(258, 'a', 1, end, 2, 257, 2), lens(1))).word(0, 1).word(3, 2).put(0, 32).done(), "a", errUnused},
		{"one distance of two bits", w().block(1, 2).lengths(258, 1, join(lens(258, 'a', 1, end, 2, 257, 2), lens(1, 0, 2))).put(0, 32).done(), "", errCode},
		{"too many distances", w().block(1, 2).lengths(258, 3, join(lens(258, 'a', 1, end, 2, 257, 2), lens(3, 0, 1, 1, 1, 2, 1))).put(0, 32).done(), "", errCode},
		{"distances with words of 15 bits", w().block(1, 2).lengths(258, 16, join(lens(258, 'a', 1, end, 2, 257, 2), deep(16, 0))).word(0, 1).word(3, 2).word(0, 1).word(2, 2).done(), "aaaa", nil},
		{"a far distance with a word of 15 bits", w().block(1, 2).lengths(258, 16, join(lens(258, 'a', 1, end, 2, 257, 2), deep(16, 0))).word(0, 1).word(3, 2).word(1<<15-1, 15).put(0, 6).word(2, 2).put(0, 32).done(), "a", errDistance},

		{"287 literals and lengths", w().block(1, 2).put(30, 5).put(0, 5).put(0, 32).done(), "", errAlphabet},
		{"31 distances", w().block(1, 2).put(0, 5).put(30, 5).put(0, 32).done(), "", errAlphabet},
		{"an incomplete code for lengths", w().block(1, 2).put(0, 10).put(0, 4).put(1, 3).put(2, 3).put(0, 32).done(), "", errCode},
		{"too many words for lengths", w().block(1, 2).put(0, 10).put(0, 4).put(1, 3).put(1, 3).put(1, 3).put(0, 32).done(), "", errCode},
		{"no words for lengths", w().block(1, 2).put(0, 10).put(0, 4).put(0, 12).put(0, 32).done(), "", errUnused},
		{"a repetition of nothing", w().block(1, 2).put(0, 10).put(0, 4).put(1, 3).put(0, 3).put(1, 3).put(0, 3).word(0, 1).put(0, 32).done(), "", errRepeat},
		{"a repetition beyond the end", w().block(1, 2).put(0, 10).put(0, 4).put(0, 6).put(1, 3).put(1, 3).word(1, 1).put(127, 7).word(1, 1).put(127, 7).put(0, 32).done(), "", errRepeat},
	} {
		t.Run(c.name, func(t *testing.T) {
			content, used, err := reference(c.stream)
			if (err == nil) != (c.want == nil) || string(content) != c.content {
				t.Errorf("the expectation is not Go's: %q, %v", content, err)
			}
			for _, step := range []int{1, 7, 1 << 20} {
				for _, behind := range []int{0, 100} {
					got, end, err := raw(append(bytes.Clone(c.stream), make([]byte, behind)...), step)
					if behind > 0 && errors.Is(c.want, io.ErrUnexpectedEOF) {
						continue // goes on into what is behind
					}
					if !errors.Is(err, c.want) || string(got) != c.content {
						t.Errorf("step %d, %d behind: %q, %v, want %v", step, behind, got, err, c.want)
					}
					if c.want == nil && end != used {
						t.Errorf("step %d, %d behind: used %d bytes, Go %d", step, behind, end, used)
					}
				}
			}
		})
	}
}

// Each stream that is cut is that, and nothing else, wherever it is cut.
func TestCut(t *testing.T) {
	deflated := w().block(0, 2).lengths(258, 1, join(lens(258, 'a', 1, 256, 2, 257, 2), lens(1, 0, 1))).word(0, 1).word(3, 2).word(0, 1).word(2, 2).
		block(0, 0).align().put(3, 16).put(0xfffc, 16).put('x', 8).put('y', 8).put('z', 8).
		block(1, 1).fixedLit(284).put(3, 5).word(4, 5).put(1, 1).fixedLit(256).done()
	content, _, err := reference(deflated)
	if err != nil {
		t.Fatal(err)
	}
	stream := member(deflated, content)
	stream = append(stream, stream...)
	whole, err := all(stream, 1)
	if err != nil || string(whole) != string(content)+string(content) {
		t.Fatalf("%q, %v", whole, err)
	}
	for n := range stream {
		got, err := all(stream[:n], 1<<20)
		if n == len(stream)/2 {
			if err != nil {
				t.Errorf("one member of two: %v", err)
			}
			continue
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d of %d: %v", n, len(stream), err)
		}
		if !isPrefix(got, whole) {
			t.Errorf("cut at %d of %d: %q", n, len(stream), got)
		}
	}
}

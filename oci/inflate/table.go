package inflate

import (
	"math/bits"
	"sync"
)

const (
	// The widths of the tables, in bits. Longer code words go on in a second table.
	litBits  = 11
	distBits = 9
	codeBits = 7

	// Sizes with room for all second tables there can be, powers of two so that a masked index needs no check. The words of
	// a second table of depth k fill it, so they are at least k+1. Of 288 words behind 11 bits, 5 and more share 16 entries:
	// 288/5*16 < 2048. Of 32 behind 9 bits, 7 and more share 64: 32/7*64 < 512.
	litSize  = 2 << litBits
	distSize = 2 << distBits

	litMask  = 1<<litBits - 1
	distMask = 1<<distBits - 1
	codeMask = 1<<codeBits - 1

	maxWord    = 15  // bits of a code word
	maxSymbols = 288 // of an alphabet

	endOfBlock = 256
	maxLit     = 286 // lengths of words in a block's header
	maxDist    = 30
)

// An entry of the tables:
//
//	bits 0-5    how many bits a symbol takes: its word, and the extra bits of a length or distance
//	bits 6-7    what it is, see below; for a literal or length also bits 14-15
//	bits 8-11   how many bits its word takes; bits 12-13 are zero
//	literal     bits 16-23: the byte
//	length      bits 18-22: mask of the extra bits; bits 23-31: the length without them
//	distance    bits 16-28: mask of the extra bits; bits 49-63: the distance without them
//
// One that leads to a second table takes no bits; its bits 8-11 are the width of that table, bits 16-31 where it begins. A word
// that does not occur takes no bits.
const (
	litLiteral = 1 << 6
	litSecond  = 1 << 7
	litEnd     = 1 << 14
	litUnused  = 1 << 15
	litSpecial = litSecond | litEnd | litUnused

	distSecond  = 1 << 6
	distUnused  = 1 << 7
	distSpecial = distSecond | distUnused

	taken = 63 // mask of bits 0-5, and of the count of any shift
	wide  = 15 // mask of bits 8-11, shifted down
)

// tables are what a block is decoded by.
type tables struct {
	lit  [litSize]uint32
	dist [distSize]uint64
}

// symbols are the entries of all symbols, less their words' lengths.
type symbols struct {
	lit  [maxSymbols]uint32
	dist [32]uint64
	code [19]uint32
}

// meaning gives the symbols (RFC 1951, 3.2.5).
var meaning = sync.OnceValue(func() *symbols {
	s := new(symbols)
	for i := range endOfBlock {
		s.lit[i] = litLiteral | uint32(i)<<16
	}
	s.lit[endOfBlock] = litEnd
	for base, i := 3, 0; i < 28; i++ {
		extra := max(i/4-1, 0)
		s.lit[endOfBlock+1+i] = uint32(extra) | (1<<extra-1)<<18 | uint32(base)<<23
		base += 1 << extra
	}
	s.lit[285] = 258 << 23
	s.lit[286], s.lit[287] = litUnused, litUnused
	for base, i := 1, 0; i < maxDist; i++ {
		extra := max(i/2-1, 0)
		s.dist[i] = uint64(extra) | (1<<extra-1)<<16 | uint64(base)<<49
		base += 1 << extra
	}
	s.dist[30], s.dist[31] = distUnused, distUnused
	for i := range s.code {
		s.code[i] = uint32(i) << 16
	}
	return s
})

// fixed are the tables of blocks that bring none (RFC 1951, 3.2.6).
var fixed = sync.OnceValue(func() *tables {
	var lens [maxSymbols]uint8
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	t, c := new(tables), new(codes)
	c.sort(lens[:])
	t.setLit(c)
	for i := range 32 {
		lens[i] = 5
	}
	c.sort(lens[:32])
	t.setDist(c)
	return t
})

func (t *tables) setLit(c *codes) { fill(t.lit[:], litBits, c, meaning().lit[:], litUnused, litSecond) }

func (t *tables) setDist(c *codes) {
	fill(t.dist[:], distBits, c, meaning().dist[:], distUnused, distSecond)
}

// codes are the words of one alphabet in canonical order: by length, then by symbol (RFC 1951, 3.2.2).
type codes struct {
	count   [maxWord + 1]int // of each length
	symbols [maxSymbols]uint16
}

// sort makes codes from the length of each symbol's word, 0 for symbols that do not occur. It reports whether that is a
// code which Go's compress/flate accepts: a complete one, one word of one bit, or none at all.
func (c *codes) sort(lens []uint8) bool {
	c.count = [maxWord + 1]int{}
	for _, n := range lens {
		c.count[n&wide]++
	}
	c.count[0] = 0
	var at [maxWord + 2]int
	used := 0 // of the 1<<maxWord words of maxWord bits
	for n := 1; n <= maxWord; n++ {
		at[n+1] = at[n] + c.count[n]
		used += c.count[n] << (maxWord - n)
	}
	for i, n := range lens {
		if n != 0 {
			c.symbols[at[n&wide]] = uint16(i)
			at[n&wide]++
		}
	}
	return used == 1<<maxWord || used == 0 || used == 1<<(maxWord-1) && c.count[1] == 1
}

// successor is the word of n bits after word. Words have their first bit lowest, as they come, so that adding one carries
// downwards. After the last word comes 0.
func successor(word uint, n int) uint {
	zeros := ^word & (1<<n - 1)
	if zeros == 0 {
		return 0
	}
	top := uint(1) << (bits.Len(zeros) - 1)
	return word&(top-1) | top
}

// fill makes a table of width bits and its second tables behind it. meaning are the symbols' entries, unused is that of words
// which do not occur, second of those that go on.
func fill[T uint32 | uint64](table []T, width int, c *codes, meaning []T, unused, second T) {
	table[0] = unused
	at, word := 0, uint(0)
	for n := 1; n <= width; n++ {
		copy(table[1<<(n-1):1<<n], table) // a table for n bits begins as that for n-1, twice
		for range c.count[n] {
			table[word] = meaning[c.symbols[at]] + T(n)*0x101
			at++
			word = successor(word, n)
		}
	}
	begin, end := 0, 1<<width // of the last second table
	prefix, deep := ^uint(0), 0
	for n := width + 1; n <= maxWord; n++ {
		for left := c.count[n]; left > 0; left-- {
			if p := word & (1<<width - 1); p != prefix {
				// A new one, as deep as it takes for the words that are left to fill it.
				prefix, begin, deep = p, end, n-width
				for room := 1<<deep - left; room > 0 && width+deep < maxWord; {
					deep++
					room = room<<1 - c.count[width+deep]
				}
				end += 1 << deep
				table[prefix] = second | T(deep)<<8 | T(begin)<<16
			}
			e := meaning[c.symbols[at]] + T(n)*0x101
			for i := int(word >> width); i < 1<<deep; i += 1 << (n - width) {
				table[begin+i] = e
			}
			at++
			word = successor(word, n)
		}
	}
}

// secondLit is the entry in the second table that e leads to.
func (t *tables) secondLit(e uint32, bits uint64) uint32 {
	return t.lit[(uint64(e>>16)+bits>>litBits&(1<<(e>>8&wide)-1))&(litSize-1)]
}

// secondDist is the same for distances.
func (t *tables) secondDist(e, bits uint64) uint64 {
	return t.dist[(e>>16+bits>>distBits&(1<<(e>>8&wide)-1))&(distSize-1)]
}

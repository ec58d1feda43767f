// Package pack writes values one after another into few bytes, and reads them again: what a thing consists of is said once, for both.
package pack

import (
	"encoding/binary"
	"math"
	"time"
)

// Codec writes values, or reads them into where they were written from. Make one with [Reader] to read; the zero value writes. What is
// read into is used again where it can be: a list's members, a map, what a pointer points to.
type Codec struct {
	out     []byte
	in      string
	reading bool
	bad     bool
}

// Reader reads what a codec has written. Texts are parts of in.
func Reader(in string) *Codec { return &Codec{in: in, reading: true} }

// Bytes is what has been written.
func (c *Codec) Bytes() []byte { return c.out }

// Whole reports whether all that was read was there, and nothing is left. What was read otherwise means nothing.
func (c *Codec) Whole() bool { return !c.bad && c.in == "" }

// Failed reports whether something that was read was not there.
func (c *Codec) Failed() bool { return c.bad }

// fail gives up reading: all that follows is nothing.
func (c *Codec) fail() { c.bad, c.in = true, "" }

// Number is a number, small ones in a byte.
func (c *Codec) Number(n *int64) {
	if !c.reading {
		c.out = binary.AppendVarint(c.out, *n)
		return
	}
	var bits uint64 // as encoding/binary has it, of a string
	for i := range min(len(c.in), binary.MaxVarintLen64) {
		b := c.in[i]
		bits |= uint64(b&0x7f) << (7 * i)
		if b >= 0x80 {
			continue
		}
		if i == binary.MaxVarintLen64-1 && b > 1 {
			break
		}
		*n, c.in = int64(bits>>1)^-int64(bits&1), c.in[i+1:] //nolint:gosec // the sign is the lowest bit
		return
	}
	*n = 0
	c.fail()
}

// Text is a text.
func (c *Codec) Text(s *string) {
	n := int64(len(*s))
	c.Number(&n)
	switch {
	case !c.reading:
		c.out = append(c.out, *s...)
	case n < 0 || n > int64(len(c.in)):
		*s = ""
		c.fail()
	default:
		*s, c.in = c.in[:n], c.in[n:]
	}
}

// size is that of a list, of which each member takes at least a byte.
func (c *Codec) size(n int) int {
	size := int64(n)
	c.Number(&size)
	if c.reading && (size < 0 || size > int64(len(c.in))) {
		c.fail()
		return 0
	}
	return int(size)
}

// List is a list of what one writes.
func List[T any](c *Codec, list *[]T, one func(*T)) {
	n := c.size(len(*list))
	if c.reading {
		if *list == nil || cap(*list) < n {
			*list = make([]T, n)
		}
		*list = (*list)[:n]
	}
	for i := range *list {
		one(&(*list)[i])
	}
}

// Map is a map of texts, which is not made for nothing.
func (c *Codec) Map(m *map[string]string) {
	n := c.size(len(*m))
	if !c.reading {
		for key, value := range *m {
			c.Text(&key)
			c.Text(&value)
		}
		return
	}
	clear(*m)
	for range n {
		var key, value string
		c.Text(&key)
		c.Text(&value)
		if *m == nil {
			*m = make(map[string]string, n)
		}
		(*m)[key] = value
	}
}

// Time is a moment, read in UTC.
func (c *Codec) Time(t *time.Time) {
	seconds, ns := t.Unix(), int64(t.Nanosecond())
	c.Number(&seconds)
	c.Number(&ns)
	if c.reading {
		*t = time.Unix(seconds, ns).UTC()
	}
}

// Float is a floating-point number, bit by bit.
func (c *Codec) Float(f *float64) {
	bits := int64(math.Float64bits(*f)) //nolint:gosec // the same bits
	c.Number(&bits)
	*f = math.Float64frombits(uint64(bits)) //nolint:gosec // likewise
}

// Int is a number.
func (c *Codec) Int(n *int) { number(c, n) }

// Uint16 is a number.
func (c *Codec) Uint16(n *uint16) { number(c, n) }

func number[T int | uint16](c *Codec, n *T) {
	value := int64(*n)
	c.Number(&value)
	*n = T(value)
}

// Bool is a truth.
func (c *Codec) Bool(b *bool) {
	n := int64(0)
	if *b {
		n = 1
	}
	c.Number(&n)
	*b = n != 0
}

// Maybe is a value that need not be there.
func Maybe[T any](c *Codec, p **T, value func(*T)) {
	there := *p != nil
	c.Bool(&there)
	switch {
	case !there:
		*p = nil
		return
	case *p == nil:
		*p = new(T)
	}
	value(*p)
}

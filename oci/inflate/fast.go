package inflate

// outcome is why a decoding loop ended.
type outcome uint8

const (
	again  outcome = iota // it needs more input or more room
	ended                 // with the block
	unused                // at a symbol that must not be
	tooFar                // at a distance that must not be
)

// refill tops up the bit buffer to 56 bits and more. Above them it has further bits of the stream, which the next refill
// puts there again.
func refill(buf *[inSize + margin]byte, bits uint64, held uint32, at int) (uint64, uint32, int) {
	at &= inMask
	return bits | load64(buf[at:])<<(held&taken), held | 56, at + int(^held>>3&7)
}

// fast decodes symbols while there is input to look ahead and room to write beyond the end of a match. It is where the time
// goes: see the package's description, and test changes with check_bce and the benchmarks.
//
// Of held only the lower 6 bits count. A round begins with an entry e that is looked up but not used, and 56 bits: for two
// literals (22), a length (20) and the word of a distance (9, else looked up again), or for three literals (33) and the look-up
// of the next symbol. After the second refill a distance takes 28 at most.
//
//nolint:funlen // one loop whose variables stay in registers; a call would put them all on the stack
func (d *decoder) fast() outcome {
	out := &d.out.buf
	in := &d.buf
	bits, held, at, pos := d.bits, uint32(d.held), d.input.pos, d.pos
	last, low := d.end-margin, int(d.low)
	why := again
	if at > last {
		return again
	}
	bits, held, at = refill(in, bits, held, at)
	e := d.lit[bits&litMask]
	for at <= last && uint(pos) < full {
		bits, held, at = refill(in, bits, held, at)
		if e&litLiteral != 0 {
			bits, held = bits>>(e&taken), held-e
			out[pos] = byte(e >> 16)
			pos++
			e = d.lit[bits&litMask]
			if e&litLiteral != 0 {
				bits, held = bits>>(e&taken), held-e
				out[pos] = byte(e >> 16)
				pos++
				e = d.lit[bits&litMask]
				if e&litLiteral != 0 {
					bits, held = bits>>(e&taken), held-e
					out[pos] = byte(e >> 16)
					pos++
					e = d.lit[bits&litMask]
					continue
				}
			}
		}
		if e&litSpecial != 0 {
			if e&litSecond != 0 {
				e = d.secondLit(e, bits)
			}
			if e&(litEnd|litUnused) != 0 {
				why = unused
				if e&litEnd != 0 {
					bits, held, why = bits>>(e&taken), held-e, ended
				}
				break
			}
			if e&litLiteral != 0 {
				bits, held = bits>>(e&taken), held-e
				out[pos] = byte(e >> 16)
				pos++
				e = d.lit[bits&litMask]
				continue
			}
		}
		length := int(e>>23) + int(bits>>(e>>8&taken))&int(e>>18&31)
		bits, held = bits>>(e&taken), held-e
		f := d.dist[bits&distMask]
		bits, held, at = refill(in, bits, held, at)
		if f&distSpecial != 0 {
			if f&distSecond != 0 {
				f = d.secondDist(f, bits)
			}
			if f&distUnused != 0 {
				why = unused
				break
			}
		}
		dist := int(f>>49) + int(bits>>(f>>8&taken))&int(f>>16&0x1fff)
		bits, held = bits>>(f&taken), held-uint32(f)
		if uint(pos) > full+1 {
			break // never; the compiler takes it for a proof
		}
		from := pos - dist
		if from < low {
			why = tooFar
			break
		}
		e = d.lit[bits&litMask]
		if dist < 8 {
			r := &repeats[dist&7]
			v := load64(out[from:]) & r.mask * r.times
			for i := 0; i < length; i += r.step {
				store64(out[pos+i:], v)
			}
		} else {
			store64(out[pos:], load64(out[from:]))
			store64(out[pos+8:], load64(out[from+8:]))
			store64(out[pos+16:], load64(out[from+16:]))
			store64(out[pos+24:], load64(out[from+24:]))
			for i := 32; i < length; i += 16 {
				store64(out[pos+i:], load64(out[from+i:]))
				store64(out[pos+i+8:], load64(out[from+i+8:]))
			}
		}
		pos += length
	}
	held &= taken
	d.bits, d.held, d.input.pos, d.pos = bits&(1<<held-1), uint(held), at, pos
	return why
}

// repeats says for each distance below 8 how to fill a word with the bytes that repeat, and how far the next word may be so that
// it begins with the first of them again.
var repeats = [8]struct {
	mask, times uint64
	step        int
}{
	{0, 0, 8}, // there is no distance 0
	{1<<8 - 1, 0x0101010101010101, 8},
	{1<<16 - 1, 0x0001000100010001, 8},
	{1<<24 - 1, 1 | 1<<24 | 1<<48, 6},
	{1<<32 - 1, 1 | 1<<32, 8},
	{1<<40 - 1, 1 | 1<<40, 5},
	{1<<48 - 1, 1 | 1<<48, 6},
	{1<<56 - 1, 1 | 1<<56, 7},
}

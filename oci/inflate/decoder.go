package inflate

// decoder decodes one DEFLATE stream after another.
type decoder struct {
	input
	tables
	out *Chunk
	pos int    // in out.buf: where the next byte goes
	low uint32 // in out.buf: where the stream begins, 0 when that was before

	block  blockKind // that it is in the middle of
	final  bool      // the last one
	stored int       // bytes left of a stored block
	fixed  bool      // tables are the fixed ones

	codes codes
	lens  [maxLit + maxDist + 2]uint8
}

type blockKind uint8

const (
	noBlock blockKind = iota
	storedBlock
	codedBlock
)

// begin makes the decoder ready for a stream.
func (d *decoder) begin() { d.low, d.block, d.final = uint32(d.pos), noBlock, false }

// rotate goes on with a chunk that holds nothing but the window.
func (d *decoder) rotate(c *Chunk) {
	copy(c.buf[:window], d.out.buf[d.pos-window:d.pos])
	d.low = uint32(max(int(d.low)+window-d.pos, 0))
	d.out, d.pos = c, window
}

func (d *decoder) corrupt(err error) error { return &Error{Offset: d.offset(), Err: err} }

// run decodes until the chunk is full or the stream ends, which it reports.
func (d *decoder) run() (end bool, err error) {
	for d.pos < full {
		switch d.block {
		case storedBlock:
			err = d.copyStored()
		case codedBlock:
			err = d.decode()
		default:
			if d.final {
				d.align()
				return true, nil
			}
			err = d.blockHeader()
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// copyStored copies from a stored block what is at hand and has room.
func (d *decoder) copyStored() error {
	if d.stored == 0 {
		d.block = noBlock
		return nil
	}
	if d.input.pos == d.end {
		if err := d.more(); err != nil {
			return err
		}
	}
	n := copy(d.out.buf[d.pos:min(d.pos+d.stored, full)], d.buf[d.input.pos:d.end])
	d.input.pos += n
	d.pos += n
	d.stored -= n
	return nil
}

// decode decodes symbols until the block ends or the chunk is full.
func (d *decoder) decode() (err error) {
	for d.pos < full {
		var why outcome
		if d.end-d.input.pos > margin {
			why = d.fast()
		} else if why, err = d.symbol(); err != nil {
			return err
		}
		switch why {
		case ended:
			d.block = noBlock
			return nil
		case unused:
			return d.corrupt(errUnused)
		case tooFar:
			return d.corrupt(errDistance)
		}
	}
	return nil
}

// symbol decodes one literal, match or end of the block, and reads no more than that takes.
func (d *decoder) symbol() (outcome, error) {
	var e uint32
	for {
		e = d.lit[d.bits&litMask]
		if e&litSecond != 0 {
			e = d.secondLit(e, d.bits)
		}
		if uint(e&taken) <= d.held {
			break
		}
		if err := d.need(d.held + 1); err != nil {
			return again, err
		}
	}
	word := e >> 8 & wide
	switch v := d.take(uint(e & taken)); {
	case e&litUnused != 0:
		return unused, nil
	case e&litEnd != 0:
		return ended, nil
	case e&litLiteral != 0:
		d.out.buf[d.pos] = byte(e >> 16)
		d.pos++
		return again, nil
	default:
		return d.match(int(e>>23) + int(v>>word))
	}
}

// match decodes the distance that goes with a length.
func (d *decoder) match(length int) (outcome, error) {
	var e uint64
	for {
		e = d.dist[d.bits&distMask]
		if e&distSecond != 0 {
			e = d.secondDist(e, d.bits)
		}
		if uint(e&taken) <= d.held {
			break
		}
		if err := d.need(d.held + 1); err != nil {
			return again, err
		}
	}
	word := e >> 8 & wide
	v := d.take(uint(e & taken))
	if e&distUnused != 0 {
		return unused, nil
	}
	from := d.pos - int(e>>49) - int(v>>word)
	if from < int(d.low) {
		return tooFar, nil
	}
	for i := range length {
		d.out.buf[d.pos+i] = d.out.buf[from+i]
	}
	d.pos += length
	return again, nil
}

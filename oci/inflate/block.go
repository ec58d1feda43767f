package inflate

// blockHeader reads the beginning of a block (RFC 1951, 3.2.3).
func (d *decoder) blockHeader() error {
	if err := d.need(3); err != nil {
		return err
	}
	d.final = d.take(1) == 1
	switch d.take(2) {
	case 0:
		return d.storedHeader()
	case 1:
		if !d.fixed {
			d.tables, d.fixed = *fixed(), true
		}
	case 2:
		d.fixed = false
		if err := d.codedHeader(); err != nil {
			return err
		}
	default:
		return d.corrupt(errBlockType)
	}
	d.block = codedBlock
	return nil
}

// storedHeader reads the length of a block that is not compressed, and its complement.
func (d *decoder) storedHeader() error {
	d.align()
	if err := d.need(32); err != nil {
		return err
	}
	n, complement := d.take(16), d.take(16)
	if n^complement != 0xffff {
		return d.corrupt(errStored)
	}
	d.block, d.stored = storedBlock, int(n)
	return nil
}

// codeOrder is how the lengths of the words for lengths of words are arranged (RFC 1951, 3.2.7).
var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// codedHeader reads the codes of a block and makes its tables.
func (d *decoder) codedHeader() error {
	if err := d.need(14); err != nil {
		return err
	}
	lits, dists, coded := int(d.take(5))+endOfBlock+1, int(d.take(5))+1, int(d.take(4))+4
	if lits > maxLit || dists > maxDist {
		return d.corrupt(errAlphabet)
	}
	var lens [len(codeOrder)]uint8
	for _, symbol := range codeOrder[:coded] {
		if err := d.need(3); err != nil {
			return err
		}
		lens[symbol] = uint8(d.take(3))
	}
	if !d.codes.sort(lens[:]) {
		return d.corrupt(errCode)
	}
	if err := d.readLengths(d.lens[:lits+dists]); err != nil {
		return err
	}
	if !d.codes.sort(d.lens[:lits]) {
		return d.corrupt(errCode)
	}
	d.setLit(&d.codes)
	if !d.codes.sort(d.lens[lits : lits+dists]) {
		return d.corrupt(errCode)
	}
	d.setDist(&d.codes)
	return nil
}

// readLengths reads the lengths of words, which d.codes encode. A repetition may go on from literals to distances.
func (d *decoder) readLengths(lens []uint8) error {
	var table [1 << codeBits]uint32
	fill(table[:], codeBits, &d.codes, meaning().code[:], 0, 0)
	for i := 0; i < len(lens); {
		e := table[d.bits&codeMask]
		for uint(e&taken) > d.held {
			if err := d.need(d.held + 1); err != nil {
				return err
			}
			e = table[d.bits&codeMask]
		}
		if e == 0 {
			return d.corrupt(errUnused)
		}
		d.take(uint(e & taken))
		n := e >> 16
		if n <= maxWord {
			lens[i] = uint8(n)
			i++
			continue
		}
		if n == 16 && i == 0 {
			return d.corrupt(errRepeat)
		}
		extra := [3]uint{2, 3, 7}[n-16]
		if err := d.need(extra); err != nil {
			return err
		}
		again := int(d.take(extra)) + [3]int{3, 3, 11}[n-16]
		if i+again > len(lens) {
			return d.corrupt(errRepeat)
		}
		var v uint8
		if n == 16 {
			v = lens[i-1]
		}
		for range again {
			lens[i] = v
			i++
		}
	}
	return nil
}

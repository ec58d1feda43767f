package training

import "bytes"

// lines cuts a stream into lines of bounded length. \r ends one, too: what a progress bar has overwritten is a line of its own.
type lines struct {
	held    []byte // the beginning of a line whose end has not come
	skip    bool   // the rest of the line is not wanted
	wanted  func(beginning []byte) bool
	take    func(line []byte)
	tooLong func(beginning []byte)
}

// add takes what has come.
func (l *lines) add(p []byte) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			end = len(p)
		}
		part := p[:end]
		for {
			at := bytes.IndexByte(part, '\r')
			if at < 0 {
				break
			}
			l.piece(part[:at], true)
			part = part[at+1:]
		}
		l.piece(part, end < len(p))
		p = p[min(end+1, len(p)):]
	}
}

// piece takes a part of a line, the last one when it has ended.
func (l *lines) piece(p []byte, ended bool) {
	switch {
	case l.skip:
	case len(l.held)+len(p) > maxLine:
		l.tooLong(append(l.held, p[:min(len(p), 64)]...))
		l.skip = true
	case ended && len(l.held) == 0:
		if l.wanted(p) {
			l.take(p)
		}
	default:
		l.held = append(l.held, p...)
		if ended {
			l.take(l.held)
		} else if len(l.held) > 0 && !l.wanted(l.held) {
			l.skip = true
		}
	}
	if ended || l.skip {
		l.held = l.held[:0]
	}
	if ended {
		l.skip = false
	}
}

// rest takes a last line that has no end.
func (l *lines) rest() {
	if len(l.held) > 0 {
		l.piece(nil, true)
	}
}

// withoutEscapes takes a terminal's sequences (ECMA-48) out of a line: CSI ... final byte, OSC ... BEL or ST, and two-byte ones.
func withoutEscapes(line []byte) []byte {
	const esc, bel = 0x1b, 0x07
	if bytes.IndexByte(line, esc) < 0 {
		return line
	}
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		if line[i] != esc {
			out = append(out, line[i])
			continue
		}
		i++
		switch {
		case i < len(line) && line[i] == '[':
			for i++; i < len(line) && (line[i] < 0x40 || line[i] > 0x7e); i++ {
			}
		case i < len(line) && line[i] == ']':
			for i++; i < len(line) && line[i] != bel && line[i] != esc; i++ {
			}
			if i < len(line) && line[i] == esc {
				i++ // the backslash of ST
			}
		}
	}
	return out
}

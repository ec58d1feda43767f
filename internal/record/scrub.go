package record

import (
	"bytes"
	"strings"
)

// scrubber takes known secrets out of a stream, also where one is cut in two by the writes.
type scrubber struct {
	secrets [][]byte
	held    []byte // the end of what came, which may be the beginning of a secret
}

// next returns what can go on of the held bytes and p. The result may share memory with p.
func (s *scrubber) next(p []byte) []byte {
	if len(s.secrets) == 0 {
		return p
	}
	in := append(s.held, p...)
	var out []byte
	for {
		at, secret := s.find(in)
		if secret == nil {
			break
		}
		out = append(append(out, in[:at]...), Redacted...)
		in = in[at+len(secret):]
	}
	cut := len(in) - s.beginning(in)
	out = append(out, in[:cut]...)
	s.held = bytes.Clone(in[cut:])
	return out
}

// rest returns what is still held, at the end of the stream.
func (s *scrubber) rest() []byte {
	held := s.held
	s.held = nil
	return held
}

// find returns the first secret in p, the longest of those that begin together, and where it begins.
func (s *scrubber) find(p []byte) (at int, secret []byte) {
	for _, candidate := range s.secrets {
		if i := bytes.Index(p, candidate); i >= 0 && (secret == nil || i < at) {
			at, secret = i, candidate
		}
	}
	return at, secret
}

// beginning is the length of the longest end of p that begins a secret.
func (s *scrubber) beginning(p []byte) int {
	longest := 0
	for _, secret := range s.secrets {
		for n := min(len(p), len(secret)-1); n > longest; n-- {
			if bytes.HasSuffix(p, secret[:n]) {
				longest = n
			}
		}
	}
	return longest
}

// scrubber for the values that a redactor knows, longest first. A value with line ends in it is looked for as it is and
// as a terminal shows it.
func (r *redactor) scrubber() *scrubber {
	s := &scrubber{}
	for _, v := range r.values {
		if strings.Contains(v, "\n") {
			s.secrets = append(s.secrets, []byte(strings.ReplaceAll(v, "\n", "\r\n")))
		}
		s.secrets = append(s.secrets, []byte(v))
	}
	return s
}

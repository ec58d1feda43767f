package terminal

import (
	"errors"
	"fmt"
	"strings"
)

// DefaultKeys are docker's.
const DefaultKeys = "ctrl-p,ctrl-q"

// ErrKeys marks a sequence of keys that cannot be read.
var ErrKeys = errors.New("no sequence of keys")

// Keys looks for a sequence of keys in what is typed. The zero value finds none.
type Keys struct {
	sequence []byte
	matched  int // how much of it has been typed, and is held back
}

// ParseKeys reads a sequence as docker has it: letters, and ctrl- with a letter or one of @[\]^_, with commas between them. An empty
// one is none.
func ParseKeys(text string) (Keys, error) {
	var k Keys
	if text == "" {
		return k, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		key, ok := keyOf(name)
		if !ok {
			return Keys{}, fmt.Errorf("%w: %q: %q is neither a letter nor ctrl- with one of a-z@[\\]^_", ErrKeys, text, name)
		}
		k.sequence = append(k.sequence, key)
	}
	return k, nil
}

// keyOf is the byte that a terminal sends for a key.
func keyOf(name string) (byte, bool) {
	if len(name) == 1 && (isLetter(name[0]|0x20) || name[0] == '@' || '[' <= name[0] && name[0] <= '_') {
		return name[0], true
	}
	control, ok := strings.CutPrefix(name, "ctrl-")
	if !ok || len(control) != 1 {
		return 0, false
	}
	switch c := control[0]; {
	case isLetter(c):
		return c - 'a' + 1, true
	case c == '@':
		return 0, true
	case '[' <= c && c <= '_':
		return c - '[' + 27, true
	}
	return 0, false
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' }

// next takes what has been typed. It returns what goes on to the job, and whether the sequence was whole: what comes after it is nobody's.
// The beginning of one is held back until it is clear that it is none.
func (k *Keys) next(typed []byte) (passed []byte, found bool) {
	if len(k.sequence) == 0 {
		return typed, false
	}
	for _, c := range typed {
		for k.matched > 0 && c != k.sequence[k.matched] {
			passed = append(passed, k.fallBack()...)
		}
		if c != k.sequence[k.matched] {
			passed = append(passed, c)
			continue
		}
		if k.matched++; k.matched == len(k.sequence) {
			k.matched = 0
			return passed, true
		}
	}
	return passed, false
}

// rest is what is held back when nothing more will be typed: it is no sequence.
func (k *Keys) rest() []byte {
	held := k.sequence[:k.matched]
	k.matched = 0
	return held
}

// fallBack gives up the first of the keys that are held back, and as many more as it takes for the rest to begin a sequence.
func (k *Keys) fallBack() []byte {
	held := k.sequence[:k.matched]
	for n := 1; n <= len(held); n++ {
		if rest := held[n:]; strings.HasPrefix(string(k.sequence), string(rest)) {
			k.matched = len(rest)
			return held[:n]
		}
	}
	return nil // the empty rest always fits
}

package terminal

import (
	"errors"
	"io"
)

// chunk is how much is read at once.
const chunk = 32 << 10

// Pass hands on what is typed, or comes otherwise, to its end, or until keys are typed, which it reports. That a terminal is gone is
// an error.
func Pass(to io.Writer, from io.Reader, keys Keys) (left bool, err error) {
	buf := make([]byte, chunk)
	for {
		n, err := from.Read(buf)
		passed, left := keys.next(buf[:n])
		if err != nil && !left {
			passed = append(passed, keys.rest()...)
		}
		if len(passed) > 0 {
			if _, err := to.Write(passed); err != nil {
				return left, err
			}
		}
		switch {
		case left:
			return true, nil
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		}
	}
}

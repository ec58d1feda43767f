package sys

import (
	"bytes"
	"sync"
)

// Words keep the beginning of what a program says. They are a place for its standard error, and can be read while it goes on.
type Words struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// mostWords is enough for an error, and little enough for a program that says without end what is wrong.
const mostWords = 4 << 10

// Write implements io.Writer. What is too much is dropped, not refused: the program is not to wait.
func (w *Words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p[:min(len(p), mostWords-w.text.Len())])
	return len(p), nil
}

// String is what has been kept.
func (w *Words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

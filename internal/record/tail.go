package record

import (
	"io"
	"os"
)

// Tail is the last of what the job has printed so far, at most some bytes; "" when it cannot be read.
func (l *Log) Tail(most int64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	file, err := os.Open(partPath(l.dir, l.part))
	if err != nil {
		return ""
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, max(0, l.size-most), most))
	if err != nil {
		return ""
	}
	return string(text)
}

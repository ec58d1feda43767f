package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coracle-run/coracle/internal/fsx"
)

// notesFile has what people say of a run, one object a line.
const notesFile = "notes.jsonl"

// Note is what somebody has said of a run, whenever that was.
type Note struct {
	Time time.Time `json:"time"` // UTC
	Text string    `json:"text"`
}

// mostNote is how long a note may be, and mostNotes all those of a run, in bytes.
const mostNote, mostNotes = 16 << 10, 16 << 20

// ErrNote is returned for a text that is no note: empty, too long, or not UTF-8.
var ErrNote = errors.New("this is no note")

// Note adds a note to a run, which may be going on. What looks like a secret in it is taken out. It is on disk on return.
func (r *Runs) Note(id, text string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("noting: %w", err)
		}
	}()
	if text = strings.TrimSpace(text); text == "" || len(text) > mostNote || !utf8.ValidString(text) {
		return fmt.Errorf("%w: it is empty, longer than %d bytes, or not UTF-8", ErrNote, mostNote)
	}
	secret := &redactor{}
	secret.learn(strings.Fields(text))
	line, err := json.Marshal(Note{Time: time.Now().UTC(), Text: secret.text(text)})
	if err != nil {
		return err
	}
	path := filepath.Join(r.dir, id, notesFile)
	if before, err := fsx.ReadRegular(path, mostNotes); err == nil && len(before) > 0 && before[len(before)-1] != '\n' {
		line = append([]byte("\n"), line...) // a full disk took only a part of the last one, and this is no part of that
	}
	file, err := fsx.AppendFile(path, 0o600)
	if err != nil {
		return err
	}
	// One write of a whole line to a file opened for appending: a reader sees all of it or a torn last line.
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Sync(), file.Close())
}

// readNotes reads those of a record. What is no whole line of one is left out.
func readNotes(dir string) (notes []Note) {
	raw, err := fsx.ReadRegular(filepath.Join(dir, notesFile), mostNotes)
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(raw) {
		var n Note
		if bytes.HasSuffix(line, []byte("\n")) && json.Unmarshal(line, &n) == nil && n.Text != "" {
			notes = append(notes, n)
		}
	}
	return notes
}

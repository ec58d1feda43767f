// Package index keeps what has been read of thousands of directories, so that who lists them next need not read their files again.
//
// An index is never the truth. An entry counts only while its directory has not changed since (ctime(3): a file that is replaced in it
// changes it), which is for the reader to look up, and all of them count only in the boot in which they were read, since a power cut
// can take back what a file said. Where an index is lost, damaged, of another form or out of date there is none, and it is made again.
// It is written whole, by rename: of several writers the last one stays, and each is right.
package index

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/record/pack"
)

// Entry is a directory as it was when it had last changed at that time.
type Entry struct {
	ID      string // its name; "" is no entry
	Changed int64  // ns since 1970
	Text    string // what was read
}

// Form says what an index has to begin with: how its entries are written, and the boot that they were read in.
type Form struct{ Name, Boot string }

// format changes with what encode writes.
const format = "coracle index 1\n"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Read returns the entries of the index in a file, or none.
func Read(path string, form Form) []Entry {
	file, err := fsx.OpenRegular(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	info, err := file.Stat()
	const most = 1 << 30 // bytes: of millions of entries
	if err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil
	}
	return decode(file, info.Size(), form)
}

// decode reads a file of so many bytes: the format, the sum of what follows, and that.
func decode(file io.Reader, size int64, form Form) []Entry {
	const head = len(format) + crc32.Size
	size -= int64(head)
	var begin [head]byte
	if _, err := io.ReadFull(file, begin[:]); err != nil || string(begin[:len(format)]) != format {
		return nil
	}
	var text strings.Builder
	text.Grow(int(size))
	sum := crc32.New(castagnoli)
	if n, err := io.Copy(io.MultiWriter(sum, &text), file); err != nil || n != size || sum.Sum32() != binary.LittleEndian.Uint32(begin[len(format):]) {
		return nil
	}
	c := pack.Reader(text.String())
	var of Form
	if of.pack(c); of != form {
		return nil
	}
	var entries []Entry
	pack.List(c, &entries, func(e *Entry) { e.pack(c) })
	if !c.Whole() {
		return nil
	}
	return entries
}

// encode is the content of a file.
func encode(entries []Entry, form Form) []byte {
	c := &pack.Codec{}
	form.pack(c)
	pack.List(c, &entries, func(e *Entry) { e.pack(c) })
	sum := binary.LittleEndian.AppendUint32([]byte(format), crc32.Checksum(c.Bytes(), castagnoli))
	return append(sum, c.Bytes()...)
}

func (f *Form) pack(c *pack.Codec) {
	c.Text(&f.Name)
	c.Text(&f.Boot)
}

func (e *Entry) pack(c *pack.Codec) {
	c.Text(&e.ID)
	c.Number(&e.Changed)
	c.Text(&e.Text)
}

// Match returns the entries of some directories, each in the place of its id. Both lists are in falling order.
func Match(entries []Entry, ids []string) []Entry {
	matched := make([]Entry, len(ids))
	for i, id := range ids {
		for len(entries) > 0 && entries[0].ID > id {
			entries = entries[1:] // its directory has been taken away
		}
		if len(entries) > 0 && entries[0].ID == id {
			matched[i] = entries[0]
		}
	}
	return matched
}

// lasting are the entries that had not changed any more by some time.
func lasting(entries []Entry, before int64) []Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.ID == "" || e.Changed == 0 || e.Changed >= before })
}

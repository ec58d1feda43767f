package record

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
)

// index is what a listing has kept of records that have ended, so that the next one need not read thousands of files again. It is
// never the truth: an entry counts only while the directory of its record has not changed since (ctime(3); whatever changes what an
// entry says replaces a file in it), and all of them count only in the boot in which they were read, since a power cut can
// take back what a record said. Where it is lost, damaged, of another form or out of date, records are read as if there were
// none, and it is made again. Only listings and look-ups write it, whole, by rename: of several the last one stays, and each is right.
type index []entry // newest first

// entry is a record as it was when its directory had last changed at that time.
type entry struct {
	id      string
	changed int64  // ns
	fields  string // encoded, see [codec.fields]
}

// indexForm begins the file and changes with what follows.
const indexForm = "coracle runs 1\n"

// racy is how long a directory must have been unchanged before an entry may go by the time of its change: a file system that
// counts in seconds would not show another one in the same second.
var racy = 2 * time.Second

// indexFile is this host's: on a network file system each has its own, because each knows its own boots alone.
func (r *Runs) indexFile() (string, error) {
	self, err := host.Self()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(r.dir), "index", strings.ReplaceAll(self.Host, "/", "_")), nil
}

// readIndex is empty where there is none to go by.
func (r *Runs) readIndex() index {
	path, err := r.indexFile()
	if err != nil {
		return nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return decodeIndex(raw)
}

// decodeIndex returns nil for what is no index of this boot.
func decodeIndex(raw []byte) index {
	boot, err := host.BootID()
	if err != nil || len(raw) < crc32.Size {
		return nil
	}
	body, sum := raw[:len(raw)-crc32.Size], raw[len(raw)-crc32.Size:]
	rest, ok := strings.CutPrefix(string(body), indexForm)
	if !ok || crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return nil
	}
	c := &codec{in: rest, reading: true}
	var wrote string
	var n int64
	if c.text(&wrote); wrote != boot {
		return nil
	}
	if c.number(&n); n < 0 || n > int64(len(rest)) {
		return nil
	}
	idx := make(index, n)
	for i := range idx {
		c.entry(&idx[i])
	}
	if c.bad || c.in != "" {
		return nil
	}
	return idx
}

// encode is the file's content.
func (idx index) encode() ([]byte, error) {
	boot, err := host.BootID()
	if err != nil {
		return nil, err
	}
	c := &codec{out: []byte(indexForm)}
	n := int64(len(idx))
	c.text(&boot)
	c.number(&n)
	for i := range idx {
		c.entry(&idx[i])
	}
	return sealed(c.out), nil
}

// sealed has the sum at its end by which a reader knows that nothing is missing or changed.
func sealed(body []byte) []byte {
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// indexWriter is an index in the making.
type indexWriter struct {
	file *os.File
	// before is the time until which changes count, by the clock of the file system that they are on, and before anything is read.
	before int64
}

// beginIndex fails where nothing can be written, and then there is no index.
func (r *Runs) beginIndex() (*indexWriter, error) {
	tmp, err := tmpOf(filepath.Join(r.dir, "any"))
	if err != nil {
		return nil, err
	}
	name, err := fsx.TempName()
	if err != nil {
		return nil, err
	}
	file, err := fsx.CreateExclusive(filepath.Join(tmp, name), 0o600)
	if err != nil {
		return nil, err
	}
	w := &indexWriter{file: file}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, w.drop())
	}
	w.before = info.ModTime().Add(-racy).UnixNano()
	return w, nil
}

// drop gives it up.
func (w *indexWriter) drop() error { return errors.Join(w.file.Close(), os.Remove(w.file.Name())) }

// newEntry keeps a view.
func newEntry(changed int64, v View) entry {
	c := &codec{}
	c.fields(&v)
	return entry{id: v.ID, changed: changed, fields: string(c.out)}
}

// named reports whether the record has a name, which is the first of the fields.
func (e entry) named(name string) bool {
	c := &codec{in: e.fields, reading: true}
	var has string
	c.text(&has)
	return has == name
}

// view is the brief view of an entry; false: it is none.
func (e entry) view(v *View, dir string) bool {
	c := &codec{in: e.fields, reading: true}
	v.ID, v.Dir = e.id, filepath.Join(dir, e.id)
	c.fields(v)
	return !c.bad && c.in == ""
}

// finish puts the index in its place.
func (w *indexWriter) finish(r *Runs, idx index) error {
	raw, err := idx.encode()
	if err == nil {
		_, err = w.file.Write(raw)
	}
	path, pathErr := r.indexFile()
	if err := errors.Join(err, pathErr); err != nil {
		return errors.Join(err, w.drop())
	}
	if err := fsx.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return errors.Join(err, w.drop())
	}
	if err := fsx.Rename(w.file.Name(), path); err != nil {
		return errors.Join(err, w.drop())
	}
	return w.file.Close()
}

// codec writes values one after another, or reads them into where they were written from: what an entry has is said once, for both.
type codec struct {
	out     []byte
	in      string
	reading bool
	bad     bool // what is read is no such value
}

func (c *codec) entry(e *entry) {
	c.text(&e.id)
	c.number(&e.changed)
	c.text(&e.fields)
}

// fields are all that is kept of a record: briefFields.
func (c *codec) fields(v *View) {
	for _, text := range []*string{
		&v.Name, (*string)(&v.State), &v.Project, &v.Image.Ref, &v.Image.Digest, &v.Signal, (*string)(&v.Cause), &v.Host.Hostname,
	} {
		c.text(text)
	}
	c.list(&v.Argv)
	c.labels(&v.Labels)
	c.moment(&v.Created)
	maybe(c, &v.Started, c.moment)
	maybe(c, &v.Finished, c.moment)
	maybe(c, &v.Wall, c.real)
	maybe(c, &v.ExitCode, c.whole)
}

func (c *codec) number(n *int64) {
	if !c.reading {
		c.out = binary.AppendVarint(c.out, *n)
		return
	}
	var raw [binary.MaxVarintLen64]byte
	value, size := binary.Varint(raw[:copy(raw[:], c.in)])
	if size <= 0 {
		c.bad, c.in = true, ""
		return
	}
	*n, c.in = value, c.in[size:]
}

func (c *codec) text(s *string) {
	n := int64(len(*s))
	c.number(&n)
	switch {
	case !c.reading:
		c.out = append(c.out, *s...)
	case n < 0 || n > int64(len(c.in)):
		c.bad, c.in = true, ""
	default:
		*s, c.in = c.in[:n], c.in[n:]
	}
}

// size is that of a list, of which each member takes at least a byte.
func (c *codec) size(n int) int {
	size := int64(n)
	c.number(&size)
	if c.reading && (size < 0 || size > int64(len(c.in))) {
		c.bad, c.in = true, ""
		return 0
	}
	return int(size)
}

func (c *codec) list(list *[]string) {
	n := c.size(len(*list))
	if c.reading {
		*list = make([]string, n)
	}
	for i := range *list {
		c.text(&(*list)[i])
	}
}

func (c *codec) labels(labels *map[string]string) {
	n := c.size(len(*labels))
	if !c.reading {
		for key, value := range *labels {
			c.text(&key)
			c.text(&value)
		}
		return
	}
	for range n {
		var key, value string
		c.text(&key)
		c.text(&value)
		if *labels == nil {
			*labels = map[string]string{}
		}
		(*labels)[key] = value
	}
}

func (c *codec) moment(t *time.Time) {
	seconds, ns := t.Unix(), int64(t.Nanosecond())
	c.number(&seconds)
	c.number(&ns)
	if c.reading {
		*t = time.Unix(seconds, ns).UTC()
	}
}

func (c *codec) real(f *float64) {
	bits := int64(math.Float64bits(*f)) //nolint:gosec // the same bits
	c.number(&bits)
	*f = math.Float64frombits(uint64(bits)) //nolint:gosec // likewise
}

func (c *codec) whole(n *int) {
	value := int64(*n)
	c.number(&value)
	*n = int(value)
}

// maybe is a value that need not be there.
func maybe[T any](c *codec, p **T, value func(*T)) {
	there := int64(0)
	if *p != nil {
		there = 1
	}
	if c.number(&there); there == 0 {
		return
	}
	if c.reading {
		*p = new(T)
	}
	value(*p)
}

// briefFields are what a brief view has; of those that are objects, these members alone.
var briefFields = []string{
	"id", "state", "name", "project", "image.ref", "image.digest", "signal", "cause", "host.hostname", "argv", "labels", "created", "started", "finished",
	"wall_seconds", "exit_code", "dir",
}

// isBrief reports whether a brief view has a field.
func isBrief(name string) bool {
	return slices.Contains(briefFields, name) || strings.HasPrefix(name, "labels.")
}

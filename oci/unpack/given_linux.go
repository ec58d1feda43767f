package unpack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// ReadOwners reads what Options.Owners was told.
func ReadOwners(r io.Reader) iter.Seq2[Owner, error] {
	return func(yield func(Owner, error) bool) {
		for lines := json.NewDecoder(r); ; {
			var o Owner
			err := lines.Decode(&o)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				err = fmt.Errorf("reading the owners of a layer: %w", err)
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

// path is the path, byte for byte.
func (o Owner) path() string {
	if o.RawPath != nil {
		return string(o.RawPath)
	}
	return o.Path
}

// place is the path, where it can be one of a tree: however long, for it leads through no links.
func (o Owner) place() (string, error) {
	for part := range strings.SplitSeq(o.path(), "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return "", fmt.Errorf("%w: the list of owners names %.300q", ErrLayer, o.path())
		}
	}
	return o.path(), nil
}

// Gift is an entry of a delta that changes hands. Of several for one path the last one counts.
type Gift struct {
	Path     string
	UID, GID uint32
	// Mode has the permission bits and the sticky bit, as the archive has them, and of directories the set-group-id bit, which
	// has files in it inherit their group. Other set-id bits never come to the disk.
	Mode uint32
}

// Given says to whom the entries of a delta are to be given, which Delta has made of the same owners.
func Given(to string, owners io.Reader) iter.Seq2[Gift, error] {
	return func(yield func(Gift, error) bool) {
		dirs, err := openPlaces(to)
		if err != nil {
			yield(Gift{}, err)
			return
		}
		defer func() { _ = dirs.close() }() // nothing was written
		for o, err := range ReadOwners(owners) {
			gift, there := Gift{}, false
			if err == nil {
				gift, there, err = dirs.gift(o)
			}
			if (there || err != nil) && (!yield(gift, err) || err != nil) {
				return
			}
		}
	}
}

// gift is what a line means for an entry that is there.
func (p *places) gift(o Owner) (g Gift, there bool, err error) {
	if o.Path == "." || o.Device != "" {
		return Gift{}, false, nil
	}
	path, err := o.place()
	if err != nil {
		return Gift{}, false, err
	}
	mode, err := strconv.ParseUint(o.Mode, 8, 12)
	if err != nil {
		return Gift{}, false, fmt.Errorf("the mode of %.300q: %w", path, err)
	}
	dir, base := split(path)
	parent, err := p.open(dir)
	var st unix.Stat_t
	if err == nil {
		st, err = sys.StatAt(parent, base)
	}
	if replaced(err) || errors.Is(err, fs.ErrPermission) {
		return Gift{}, false, nil
	}
	g = Gift{Path: path, UID: uint32(o.UID), GID: uint32(o.GID), Mode: uint32(mode) & 0o777}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		g.Mode = uint32(mode) & 0o3777
	}
	return g, true, err
}

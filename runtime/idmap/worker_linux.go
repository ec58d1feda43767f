package idmap

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// WorkerArg is argv[0] of a process that works on files of subordinate ids: it reads one order and what belongs to it from its
// standard input, and writes one answer to its standard output, all JSON.
const WorkerArg = "coracle-files"

// order is what a worker is to do. Exactly one field is set.
type order struct {
	Remove []string `json:"remove,omitempty"` // trees that go
	Own    string   `json:"own,omitempty"`    // a tree of which entries change hands; they follow
}

// answer is empty when all is done.
type answer struct {
	Failed string `json:"failed,omitempty"`
	Errno  uint   `json:"errno,omitempty"`
}

// Entry is an entry of a tree with what it is to be: ids of the namespace and permission bits. Symbolic links have none.
type Entry struct {
	Path []byte `json:"path"` // relative to the tree, without links
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	Mode uint32 `json:"mode"`
}

// Serve is the life of a worker.
func Serve(in io.Reader, out io.Writer) (status int) {
	err := DieWithParent()
	if err == nil {
		err = obey(json.NewDecoder(in))
	}
	var a answer
	if err != nil {
		a.Failed = err.Error()
		if errno := unix.Errno(0); errors.As(err, &errno) {
			a.Errno = uint(errno)
		}
	}
	if json.NewEncoder(out).Encode(a) != nil || err != nil {
		return 1
	}
	return 0
}

func obey(in *json.Decoder) error {
	var o order
	if err := in.Decode(&o); err != nil {
		return fmt.Errorf("reading an order: %w", err)
	}
	if o.Own != "" {
		return own(o.Own, in)
	}
	var errs []error
	for _, path := range o.Remove {
		errs = append(errs, fsx.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// own gives entries of a tree to their owners.
func own(dir string, entries *json.Decoder) (err error) {
	root, err := sys.OpenDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(root)) }()
	for {
		var e Entry
		switch err := entries.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading what belongs to whom: %w", err)
		}
		if err := e.apply(root); err != nil {
			return fmt.Errorf("giving %.300q to %d:%d: %w", e.Path, e.UID, e.GID, err)
		}
	}
}

// apply changes one entry. The owner comes first, for changing it takes set-id bits away (chown(2)).
func (e Entry) apply(root int) (err error) {
	path := string(e.Path)
	cut := strings.LastIndexByte(path, '/')
	dir, base := path[:max(cut, 0)], path[cut+1:]
	parent, err := sys.OpenDeep(root, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(parent)) }()
	if err := fsx.Step("chown", base); err != nil {
		return err
	}
	if err := sys.ChownAt(parent, base, e.UID, e.GID); err != nil {
		return err
	}
	st, err := sys.StatAt(parent, base)
	if err != nil || st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return err
	}
	fd, err := sys.OpenBeneath(parent, base, unix.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe without a writer must not hold anybody up
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(fd)) }()
	if err := fsx.Step("chmod", base); err != nil {
		return err
	}
	return sys.Chmod(fd, base, e.Mode)
}

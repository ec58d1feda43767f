package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// keptWay is the way in which the Upper was made; "": it is a new one.
func (r Root) keptWay() (Way, error) {
	if r.Kept == "" {
		return "", nil
	}
	raw, err := os.ReadFile(r.Kept)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return Way(strings.TrimSpace(string(raw))), err
}

// mountAgain makes the root of an Upper that has been one's before, and in that way alone: each way notes in files of its own kind what is gone
// of the layers below, and a copy has nothing below.
func (r Root) mountAgain(target string, way Way) (Made, error) {
	var err error
	switch way {
	case Overlay:
		err = r.overlay(target)
	case Fuse:
		err = r.mountByFuse(target)
	case Copy:
		err = sys.Mount(r.Upper, target, "", unix.MS_BIND, "")
	default:
		return Made{}, fmt.Errorf("the writable layer was made in a way that this version does not know: %q", way)
	}
	if err != nil {
		return Made{}, fmt.Errorf("the writable layer was made by %s and needs it again: %w", way, err)
	}
	return Made{Way: way, Again: true}, nil
}

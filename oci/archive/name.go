package archive

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Transport is the kind of an archive, by skopeo's name.
type Transport string

// The transports.
const (
	Docker     Transport = "docker-archive" // what docker save writes
	OCI        Transport = "oci"            // a directory with an OCI image layout
	OCIArchive Transport = "oci-archive"    // a tar archive of such a directory
	// Any is no transport that users name: a file or directory of which Open finds out what it is.
	Any Transport = ""
)

// Name is where an image lies.
type Name struct {
	Transport Transport
	Path      string
	Image     string // the image's name or tag in the archive, or "@N"; "" for the only one
}

// ParseName reads TRANSPORT:PATH[:IMAGE]. ok is false when the text does not begin with a transport: then it is something
// else, and no error. A path cannot have a colon in it, as with skopeo.
func ParseName(text string) (n Name, ok bool, err error) {
	transport, rest, found := strings.Cut(text, ":")
	switch n.Transport = Transport(transport); n.Transport {
	case Docker, OCI, OCIArchive:
	default:
		return Name{}, false, nil
	}
	if !found {
		return Name{}, false, nil // an image with that name on Docker Hub
	}
	n.Path, n.Image, found = strings.Cut(rest, ":")
	if n.Path == "" || strings.ContainsRune(text, 0) || found && n.Image == "" {
		return Name{}, true, fmt.Errorf("%q: %w: it has the form %s:PATH[:%s]", text, ErrBadName, n.Transport, n.Transport.what())
	}
	return n, true, nil
}

func (t Transport) what() string {
	if t == Docker {
		return "NAME"
	}
	return "TAG"
}

// Absolute is the same name for whoever has another working directory.
func (n Name) Absolute() (Name, error) {
	path, err := filepath.Abs(n.Path)
	n.Path = path
	return n, err
}

// String is the form ParseName reads, of Any the path.
func (n Name) String() string {
	s := n.Path
	if n.Transport != Any {
		s = string(n.Transport) + ":" + s
	}
	if n.Image != "" {
		s += ":" + n.Image
	}
	return s
}

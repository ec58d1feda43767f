package unpack

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// Owner is one line of the record of what an archive says and the tree on disk does not. Entries that are not recorded
// belong to 0:0 and have the mode they have on disk. Of several lines for one path the last counts.
type Owner struct {
	Path    string   `json:"path"`               // relative to the root of the layer, "." for the root
	RawPath []byte   `json:"raw_path,omitempty"` // base64; where Path is not valid UTF-8 and had to be changed
	UID     int      `json:"uid"`
	GID     int      `json:"gid"`
	Mode    string   `json:"mode"`              // permission bits with set-id and sticky bits, octal: "4755"
	Device  string   `json:"device,omitempty"`  // "c 1:3" or "b 8:0": a device node that was left out
	Dropped []string `json:"dropped,omitempty"` // extended attributes that were left out, at most maxDropped names
}

// maxDropped bounds how many names of attributes one line holds.
const maxDropped = 16

// owners writes Owner lines.
type owners struct {
	w *bufio.Writer
}

func newOwners(w io.Writer) *owners {
	if w == nil {
		w = io.Discard
	}
	return &owners{w: bufio.NewWriterSize(w, 64<<10)}
}

// add records an entry. always is set where an earlier line for this path may have to be taken back.
func (o *owners) add(path string, hdr *tar.Header, onDisk uint32, dropped []string, always bool) error {
	mode := uint32(hdr.Mode & 0o7777)
	device := hdr.Typeflag == tar.TypeChar || hdr.Typeflag == tar.TypeBlock
	if !always && !device && hdr.Uid == 0 && hdr.Gid == 0 && len(dropped) == 0 && (mode == onDisk || hdr.Typeflag == tar.TypeSymlink) {
		return nil
	}
	line := Owner{Path: path, UID: hdr.Uid, GID: hdr.Gid, Mode: fmt.Sprintf("%04o", mode), Dropped: dropped[:min(len(dropped), maxDropped)]}
	if path == "" {
		line.Path = "."
	}
	if !utf8.ValidString(path) {
		line.RawPath = []byte(path)
	}
	if device {
		letter := "c"
		if hdr.Typeflag == tar.TypeBlock {
			letter = "b"
		}
		line.Device = fmt.Sprintf("%s %d:%d", letter, hdr.Devmajor, hdr.Devminor)
	}
	raw, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = o.w.Write(append(raw, '\n'))
	return err
}

func (o *owners) flush() error { return o.w.Flush() }

package hostile_test

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/test/hostile"
)

// view is what there is to see of an image.
type view struct {
	Merged []hostile.Node   // as overlayfs shows it to the job
	Layers [][]hostile.Node // each layer as it lies on the disk, the lowest first
}

// look mounts layers, the lowest first, as `coracle run` does, and reads them. scratch is an empty directory.
func look(t *testing.T, layers []string, scratch string) view {
	t.Helper()
	root := rootfs.Root{Layers: layers, Upper: filepath.Join(scratch, "upper"), Work: filepath.Join(scratch, "work")}
	for _, dir := range []string{root.Upper, root.Work, filepath.Join(scratch, "merged")} {
		mustDo(t, os.MkdirAll(dir, 0o755))
	}
	return lookAs(t, sight{Root: root, Merged: filepath.Join(scratch, "merged")})
}

// sight is what there is to be looked at: an overlay, or a tree as it is.
type sight struct {
	Root   rootfs.Root // mounted on Merged, when it has layers
	Merged string
	Hashes bool
}

func lookAs(t *testing.T, s sight) view {
	t.Helper()
	var spec, stderr bytes.Buffer
	mustDo(t, gob.NewEncoder(&spec).Encode(s))
	cmd := self(asLook)
	// As root of the namespace: the kernel makes overlayfs's own files with the rights of who mounts.
	cmd.SysProcAttr = asRoot()
	cmd.Stdin, cmd.Stderr = &spec, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("looking at the layers: %v: %s", err, &stderr)
	}
	var v view
	mustDo(t, gob.NewDecoder(bytes.NewReader(out)).Decode(&v))
	return v
}

func lookChild() (err error) {
	var s sight
	if err := gob.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	if len(s.Root.Layers) > 0 {
		if _, err := s.Root.Mount(s.Merged); err != nil {
			return err
		}
	}
	read := func(dir string) ([]hostile.Node, error) {
		if err := os.Chdir(dir); err != nil {
			return nil, err
		}
		return hostile.Walk(".", s.Hashes)
	}
	var v view
	if v.Merged, err = read(s.Merged); err != nil {
		return fmt.Errorf("the merged tree: %w", err)
	}
	for _, layer := range s.Root.Layers {
		nodes, err := read(layer)
		if err != nil {
			return err
		}
		v.Layers = append(v.Layers, nodes)
	}
	return tell(os.Stdout, v)
}

// at describes what a tree holds at a path.
func at(nodes []hostile.Node, path string) string {
	for _, n := range nodes {
		if n.Path == path {
			return hostile.Describe(n)
		}
	}
	return "absent"
}

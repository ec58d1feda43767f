package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/test/mlimage"
)

// errMissing says that a part of a node is not in the cache and that this user cannot make it.
var errMissing = errors.New("the nodes are not built; `go run ./test/vm build`, as root, builds them")

//go:embed node.sh
var recipe []byte

// A part is a directory in the test cache, which every user may read; its name holds a hash of what it is made of.
type part struct {
	name string
	args []string // of node.sh, without the directory
	file string   // is there when the part is
}

// location is where the part lies or would lie.
func (p part) location() string {
	hash := sha256.Sum256(fmt.Appendf(nil, "%q %q", p.args, recipe))
	return filepath.Join(mlimage.Cache(), "node-"+p.name+"-"+hex.EncodeToString(hash[:])[:12])
}

// find is the part's directory, or an error that wraps errMissing.
func (p part) find() (string, error) {
	if runtime.GOARCH != "amd64" {
		return "", fmt.Errorf("%w: there are nodes for amd64 alone", errMissing)
	}
	dir := p.location()
	if _, err := os.Stat(filepath.Join(dir, p.file)); err != nil {
		return "", fmt.Errorf("%w (%s)", errMissing, dir)
	}
	return dir, nil
}

// ensure is find, after making the part when it is missing: root, Debian's mirror and a minute. What the tools say goes to log
// when they fail. Processes that want the same part wait for the one that makes it.
func (p part) ensure(ctx context.Context, log io.Writer) (_ string, err error) {
	dir, err := p.find()
	if err == nil || os.Geteuid() != 0 || runtime.GOARCH != "amd64" {
		return dir, err
	}
	dir = p.location()
	cache := filepath.Dir(dir)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := fsx.Lock(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if dir, err := p.find(); err == nil {
		return dir, nil
	}
	if err := p.build(ctx, dir, log); err != nil {
		return "", fmt.Errorf("making the node's part %s: %w", p.name, err)
	}
	return dir, mlimage.Forget(cache, time.Now().Add(-14*24*time.Hour))
}

// build makes the directory: in a work directory beside it, which is renamed at the end or removed.
func (p part) build(ctx context.Context, dir string, log io.Writer) (err error) {
	start := time.Now()
	work, err := os.MkdirTemp(filepath.Dir(dir), ".build-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	file, out := filepath.Join(work, "node.sh"), filepath.Join(work, "part")
	if err := errors.Join(os.WriteFile(file, recipe, 0o644), os.Mkdir(out, 0o755)); err != nil {
		return err
	}
	argv := []string{"--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", file, p.args[0], p.args[1], out}
	said, err := exec.CommandContext(ctx, "unshare", append(argv, p.args[2:]...)...).CombinedOutput()
	if err != nil {
		_, _ = log.Write(said[max(0, len(said)-4000):])
		return err
	}
	_, _ = fmt.Fprintf(log, "vm: made the node's part %s in %.0f s\n", p.name, time.Since(start).Seconds())
	return os.Rename(out, dir)
}

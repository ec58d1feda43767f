package initproc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// mountFiles puts the runtime's own files into the container's /etc. They lie in the keeper's memory: on disk, each start would
// have to make and remove them.
func (k *keeper) mountFiles(s *specs.Spec) error {
	if err := os.Mkdir(etcDir, 0o755); err != nil {
		return fmt.Errorf("making the container's network files: %w", err)
	}
	var odd []spec.Volume
	for _, f := range k.request.Files {
		source := filepath.Join(etcDir, f.Name)
		if err := writeFile(source, f.Text); err != nil {
			return fmt.Errorf("making the container's network files: %w", err)
		}
		done, err := rootfs.MountFile(rootDir, f.Name, source)
		if err != nil {
			return fault{container.FaultMount, err}
		}
		if done {
			continue
		}
		target := "/etc/" + f.Name
		if err := checkTarget(specs.Mount{Type: spec.Bind, Source: source, Destination: target}); err != nil {
			return fault{container.FaultMount, err}
		}
		odd = append(odd, spec.Volume{Type: spec.Bind, Source: source, Target: target})
	}
	spec.AddFiles(s, odd)
	return nil
}

func writeFile(path string, text []byte) error {
	fd, err := sys.CreateAt(unix.AT_FDCWD, path, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(sys.Chmod(fd, path, 0o644), sys.Write(fd, path, text), sys.Close(fd))
}

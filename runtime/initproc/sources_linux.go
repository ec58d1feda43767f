package initproc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/runtime/container"
)

// hideWorkshop keeps the workshop out of what the user mounts. It covers a directory of the host, in this mount namespace alone, and
// would come along with what that lies in: / and /dev. Links of a source are followed here: some of /proc lead elsewhere later, such as
// to the working directory that libcontainer is given.
func hideWorkshop(s *specs.Spec) error {
	first := 1 + slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == cgroups })
	for n, m := range s.Mounts {
		if n < first || m.Type != "bind" || container.InWorkshop(m.Source) { // the last are our own
			continue
		}
		source, err := filepath.EvalSymlinks(m.Source)
		if err != nil {
			continue // whoever mounts it says more
		}
		switch {
		case container.InWorkshop(source):
			return fmt.Errorf("%s: %s belongs to the runtime", m.Destination, workshop)
		case source == "/" || strings.HasPrefix(workshop, source+"/"):
			stage := filepath.Join(aroundDir, strconv.Itoa(n))
			if err := bindAround(source, stage); err != nil {
				return fmt.Errorf("%s: %w", m.Destination, err)
			}
			source = stage
		}
		if source != m.Source {
			s.Mounts = slices.Clone(s.Mounts)
			s.Mounts[n].Source = source
		}
	}
	return nil
}

// bindAround mounts a directory with all that is mounted below it but the workshop, in the workshop. What cannot be bound does not come
// along with a bind of what it is mounted on (mount_namespaces(7), sharedsubtree.rst).
func bindAround(source, stage string) error {
	if err := os.MkdirAll(stage, 0o700); err != nil {
		return err
	}
	if err := sys.Mount("", workshop, "", unix.MS_UNBINDABLE, ""); err != nil {
		return err
	}
	if err := sys.Mount(source, stage, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return sys.Mount("", workshop, "", unix.MS_PRIVATE, "")
}

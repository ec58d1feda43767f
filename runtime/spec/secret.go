package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// SecretsDir is where a job finds its secrets, as with docker and podman.
const SecretsDir = "/run/secrets"

// addSecrets mounts SecretsDir after everything else, so that no volume covers it. Its source follows, see SetSource.
func addSecrets(s *specs.Spec, taken map[string]bool) error {
	for _, target := range slices.Sorted(maps.Keys(taken)) {
		if target == SecretsDir || strings.HasPrefix(target, SecretsDir+"/") {
			return fmt.Errorf("%w: nothing can be mounted on %s: the secrets are there", ErrOption, target)
		}
	}
	s.Mounts = append(s.Mounts, specs.Mount{
		Destination: SecretsDir, Type: "bind", Options: []string{"bind", "ro", "nosuid", "nodev", "noexec", "rprivate"},
	})
	return nil
}

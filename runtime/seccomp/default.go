package seccomp

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Default is the default filter for this program's architecture, as the kernel takes it: struct sock_filter, 8 bytes an
// instruction, native byte order.
func Default() []byte { return slices.Clone(compiled) }

// For is the default filter for a job that holds some capabilities ("CAP_SYS_ADMIN"): it allows the calls that docker allows
// with them. Where that is nothing more it is Default, else it is compiled now.
func For(held []string) ([]byte, error) {
	if !slices.ContainsFunc(held, matters) {
		return Default(), nil
	}
	profile, ok := Profile(runtime.GOARCH, held...)
	if !ok {
		return nil, fmt.Errorf("%w: no default for %s", ErrProfile, runtime.GOARCH)
	}
	return Compile(profile)
}

// Load compiles a profile in docker's JSON form, whose rules may depend on the architecture and on the capabilities a job holds.
func Load(raw []byte, held []string) ([]byte, error) {
	profile, err := seccomp.LoadProfile(string(raw), &specs.Spec{Process: &specs.Process{
		Capabilities: &specs.LinuxCapabilities{Bounding: held},
	}})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	if profile == nil || profile.DefaultAction == "" {
		return nil, fmt.Errorf("%w: it has no defaultAction", ErrProfile) // and would allow everything, or nothing
	}
	return Compile(profile)
}

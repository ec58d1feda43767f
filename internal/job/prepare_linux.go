package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/spec"
)

// complete fills in what the user left to Coracle and to this host.
func (r *Runner) complete(o *Options, facts host.Facts, mpi parallel) {
	o.id = record.NewID(time.Now())
	o.Spec.Hostname = cmp.Or(o.Spec.Hostname, o.Network.hostname(facts.Hostname, o.id))
	o.Spec.OwnNetwork = o.Network.Mode.Own()
	o.Spec.Secrets = len(o.Secrets) > 0
	o.UserNS = cmp.Or(o.UserNS, Flat)
	o.User = cmp.Or(o.UserNS.user(), o.User)
	if o.UserNS == SubUID {
		o.Fetch.apart = true // there may be a delta above each
		o.Spec.BaseCapabilities = spec.RootOfMany
	}
	if o.UserNS != SubUID {
		o.Spec.Volumes = withoutOwners(o.Spec.Volumes)
	}
	o.shmAsked = o.Spec.ShmBytes
	o.Spec.Inherited = slices.Concat(o.Devices.withoutHostNumbers(mpi.variables(sched.Inherited(r.Environ))), sched.Rendezvous(r.Environ), []string{o.metricsEnv()})
}

// isName tells names as docker has them, [A-Za-z0-9][A-Za-z0-9_.-]{0,127}.
func isName(s string) bool {
	return 0 < len(s) && len(s) <= 128 && consists(s) && !strings.ContainsAny(s[:1], "_.-")
}

// isHostname tells names of hosts as the kernel and /etc/hosts take them, [A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?.
func isHostname(s string) bool {
	return 0 < len(s) && len(s) <= 64 && consists(s) && !strings.ContainsAny(s[:1]+s[len(s)-1:], ".-")
}

// consists reports whether a string has letters, digits and _.- only.
func consists(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_.-", c)
	}) < 0
}

// checkNames refuses names that would mean something else where they are used. Empty ones are not given.
func checkNames(name, hostname string) error {
	switch {
	case name == "last":
		return fmt.Errorf("%w: the name last: it already means the newest run", spec.ErrOption)
	case name != "" && !isName(name):
		return fmt.Errorf("%w: the name %q: letters, digits and _.- only, beginning with a letter or digit", spec.ErrOption, name)
	case hostname != "" && !isHostname(hostname):
		return fmt.Errorf("%w: --hostname %q: at most 64 letters, digits and _.-", spec.ErrOption, hostname)
	}
	return nil
}

// checkName refuses a name that a living run has; those of the dead are free.
func (r *Runner) checkName(name string) error { return checkName(r.Store, name, "") }

// checkName refuses a name that a living run has, other than the one that asks.
func checkName(s *store.Store, name, id string) error {
	if name == "" {
		return nil
	}
	leases, err := s.Leases()
	if err != nil {
		return err
	}
	for _, l := range leases {
		if l.Name == name && filepath.Base(l.Run) != id && !l.Owner.Dead() {
			return fmt.Errorf("%w: %q is run %s", ErrNameTaken, name, filepath.Base(l.Run))
		}
	}
	return nil
}

// takeName makes the run's upper, and with its lease the name is the run's. One at a time, so that of two runs that ask for a
// name at once one gets it.
func (a *attempt) takeName(ctx context.Context, lease store.Lease) (_ *store.Upper, err error) {
	id := a.writer.ID()
	if lease.Name == "" {
		return a.Store.NewUpper(id, lease)
	}
	unlock, err := a.Store.LockName(ctx, lease.Name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := a.checkName(lease.Name); err != nil {
		return nil, err
	}
	return a.Store.NewUpper(id, lease)
}

// withName makes the container's name resolve: on the host's network, and where the host's own file does not name it, to
// the loopback address that Debian uses for a machine's own name.
func withName(hosts, hostname string) string {
	for line := range strings.Lines(hosts) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 1 {
			for _, name := range fields[1:] {
				if name == hostname {
					return hosts
				}
			}
		}
	}
	if hosts == "" {
		hosts = localHosts
	}
	if !strings.HasSuffix(hosts, "\n") {
		hosts += "\n"
	}
	return hosts + "127.0.1.1\t" + hostname + "\n"
}

func readIfThere(path string, notice func(string)) string {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		notice("the job does without the host's " + path + ": " + err.Error())
		return ""
	}
	return string(text)
}

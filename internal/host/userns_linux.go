package host

import (
	"fmt"
	"os"
	"strings"
)

// NamespaceError is a setting of this host by which an ordinary user gets no user namespaces.
type NamespaceError struct {
	Setting string // where the setting is, as sysctl(8) names it
	Reason  string
	Fix     string // what an administrator can do
}

func (p *NamespaceError) Error() string { return fmt.Sprintf("%s: %s", p.Setting, p.Reason) }

// Hint is the next step for a person.
func (p *NamespaceError) Hint() string { return p.Fix }

// userNamespaceSettings are the known ways to forbid user namespaces, each with the value that does it.
var userNamespaceSettings = []struct {
	value string
	NamespaceError
}{
	{"0", NamespaceError{
		"user.max_user_namespaces", "is 0, so nobody can make user namespaces on this host",
		"ask the administrator for: sysctl -w user.max_user_namespaces=65536 (and a line in /etc/sysctl.d to keep it)",
	}},
	{"0", NamespaceError{
		"kernel.unprivileged_userns_clone", "is 0, so only root can make user namespaces on this host",
		"ask the administrator for: sysctl -w kernel.unprivileged_userns_clone=1 (and a line in /etc/sysctl.d to keep it)",
	}},
	{"1", NamespaceError{
		"kernel.apparmor_restrict_unprivileged_userns", "is 1, so AppArmor gives user namespaces only to programs whose profile allows them",
		"ask the administrator for an AppArmor profile of coracle with the rule `userns,` in /etc/apparmor.d, or for: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
	}},
}

// UserNamespaceProblem is the setting that keeps this process from user namespaces, as a *NamespaceError; nil when none of
// the known ones does.
func UserNamespaceProblem() error {
	if err := namespaceProblem("/proc/sys", os.Geteuid() == 0); err != nil {
		return err
	}
	return filterProblem("/proc/self/status")
}

// underFilter is what a container runtime does to those inside.
var underFilter = NamespaceError{
	"seccomp", "a filter of system calls is in force, as inside another container, and forbids user namespaces",
	"run Coracle outside of that container, or start it with a seccomp profile that allows clone and unshare with CLONE_NEWUSER, and mount ('--security-opt seccomp=unconfined' allows everything)",
}

// filterProblem reads proc_pid_status(5).
func filterProblem(status string) error {
	text, err := os.ReadFile(status)
	if err == nil && strings.Contains(string(text), "\nSeccomp:\t2\n") {
		return &underFilter
	}
	return nil
}

func namespaceProblem(root string, privileged bool) error {
	for i, s := range userNamespaceSettings {
		if privileged && s.Setting != "user.max_user_namespaces" {
			continue
		}
		raw, err := os.ReadFile(root + "/" + strings.ReplaceAll(s.Setting, ".", "/"))
		if err == nil && strings.TrimSpace(string(raw)) == s.value {
			return &userNamespaceSettings[i].NamespaceError
		}
	}
	return nil
}

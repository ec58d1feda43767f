package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/capability"
)

// allCapabilities is docker's word for every capability there is.
const allCapabilities = "ALL"

// RootOfMany is what root inside holds where there are users beside it: what it takes to switch to them and to look after
// their files and processes, of what docker gives. CAP_SETPCAP is for giving powers up (setpriv, redis's entrypoint). Docker's
// others have no use in a user namespace (MKNOD, AUDIT_WRITE, and on the host's network NET_RAW and NET_BIND_SERVICE), or none
// that an entrypoint has (SETFCAP, SYS_CHROOT).
var RootOfMany = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
}

// Capabilities is what a job holds of the kernel's powers, over its own namespaces only: what it has to begin with and what
// add names, without what drop names, sorted, as the specification writes them ("CAP_CHOWN"). Names are docker's: with or
// without CAP_, in any case, or ALL.
func Capabilities(base, add, drop []string) ([]string, error) {
	added, err := capabilitySet("--cap-add", add)
	if err != nil {
		return nil, err
	}
	dropped, err := capabilitySet("--cap-drop", drop)
	if err != nil {
		return nil, err
	}
	// ALL means all others, where a name says otherwise for itself.
	if slices.ContainsFunc(drop, isAll) && !slices.ContainsFunc(add, isAll) {
		base, dropped = nil, nil // there is nothing left but what was named
	}
	added = append(slices.Clone(base), added...)
	held := slices.DeleteFunc(added, func(name string) bool { return slices.Contains(dropped, name) })
	slices.Sort(held)
	return slices.Compact(held), nil
}

func isAll(name string) bool { return strings.EqualFold(name, allCapabilities) }

func capabilitySet(flag string, names []string) ([]string, error) {
	var known, set []string
	for _, c := range capability.ListKnown() {
		known = append(known, "CAP_"+strings.ToUpper(c.String()))
	}
	for _, name := range names {
		if isAll(name) {
			set = append(set, known...)
			continue
		}
		full := "CAP_" + strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		if !slices.Contains(known, full) {
			return nil, fmt.Errorf("%w: %s %q is no capability (capabilities(7) lists them)", ErrOption, flag, name)
		}
		set = append(set, full)
	}
	return set, nil
}

// CapabilityMask is a list of capabilities as the kernel takes them: one bit each.
func CapabilityMask(names []string) (mask uint64) {
	for _, c := range capability.ListKnown() {
		if slices.Contains(names, "CAP_"+strings.ToUpper(c.String())) {
			mask |= 1 << c
		}
	}
	return mask
}

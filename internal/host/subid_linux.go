package host

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// SubIDs is one range of subordinate ids: those of the host from Start on (subuid(5)).
type SubIDs struct{ Start, Count uint64 }

// noID is the largest 32-bit number, which means "no id" to the kernel.
const noID = math.MaxUint32

// subIDSource is where ranges of subordinate ids are looked for; tests have one of their own.
type subIDSource struct {
	uids, gids, nsswitch string   // subuid(5), subgid(5), nsswitch.conf(5)
	tools                []string // directories that are searched beside PATH
	around               around
}

var systemSubIDs = subIDSource{
	uids: "/etc/subuid", gids: "/etc/subgid", nsswitch: "/etc/nsswitch.conf",
	tools:  []string{"/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"},
	around: aroundSelf,
}

// SubIDError says why the caller has no use of subordinate ids. It has a hint for a person.
type SubIDError struct{ Reason, Fix string }

func (e *SubIDError) Error() string { return e.Reason }

// Hint is the next step for a person.
func (e *SubIDError) Hint() string { return e.Fix }

// SubordinateIDs is the map of a user namespace in which the caller is root and the other ids, from 1 on, are the caller's
// subordinate ones, as /etc/subuid and /etc/subgid grant them by name or by number. Sources of the name service (SSSD) are
// not asked. The error is a *SubIDError when there are none, or nothing on this host can put them to use.
func SubordinateIDs() (IDMap, error) { return systemSubIDs.idMap(Username(), os.Getuid(), os.Getgid()) }

func (s subIDSource) idMap(name string, uid, gid int) (IDMap, error) {
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := s.tool(tool); err != nil {
			return IDMap{}, err
		}
	}
	uids, uidErr := readSubIDs(s.uids, name, uid)
	gids, gidErr := readSubIDs(s.gids, name, uid) // by the user's name and number, not the group's
	if err := errors.Join(uidErr, gidErr); err != nil {
		return IDMap{}, fmt.Errorf("reading the ranges of subordinate ids: %w", err)
	}
	if len(uids) == 0 || len(gids) == 0 {
		return IDMap{}, s.noRanges(name, len(uids) == 0, len(gids) == 0)
	}
	m := IDMap{UIDs: idRanges(uint32(uid), uids), GIDs: idRanges(uint32(gid), gids)}
	if len(m.UIDs) < 2 || len(m.GIDs) < 2 {
		return IDMap{}, s.noRanges(name, len(m.UIDs) < 2, len(m.GIDs) < 2)
	}
	if err := s.around.problem(m, os.Geteuid()); err != nil {
		return IDMap{}, err
	}
	return m, nil
}

// SubIDTool finds newuidmap or newgidmap.
func SubIDTool(name string) (string, error) { return systemSubIDs.tool(name) }

func (s subIDSource) tool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range s.tools {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", &SubIDError{
		Reason: "subordinate ids cannot be used: this host has no " + name,
		Fix:    "ask the administrator for the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora, RHEL, SUSE)",
	}
}

// subIDCount is how many subordinate ids useradd(8) gives to a user: an image's ids usually end at 65534, nobody.
const subIDCount = 65536

// noRanges says what is missing, and the command that grants it with ids that nobody has yet.
func (s subIDSource) noRanges(name string, uids, gids bool) error {
	var missing, options []string
	var lacked string // of what could be granted
	for _, f := range []struct {
		lacks             bool
		file, option, ids string
	}{{uids, s.uids, "--add-subuids", s.around.uids}, {gids, s.gids, "--add-subgids", s.around.gids}} {
		if f.lacks {
			start := nextFree(f.file)
			missing = append(missing, f.file)
			options = append(options, fmt.Sprintf("%s %d-%d", f.option, start, start+subIDCount-1))
			lacked = cmp.Or(lacked, lacking(f.ids, SubIDs{start, subIDCount}))
		}
	}
	e := &SubIDError{
		Reason: fmt.Sprintf("user %s has no subordinate ids in %s", name, strings.Join(missing, " and ")),
		Fix:    "ask the administrator for: usermod " + strings.Join(options, " ") + " " + name,
	}
	if source := nameService(s.nsswitch); source != "" {
		e.Reason += fmt.Sprintf(" (%s has \"subid: %s\", which Coracle does not ask)", s.nsswitch, source)
	}
	if lacked != "" {
		e.Reason += ", and the user namespace around Coracle has none to grant"
		e.Fix = outside
	}
	return e
}

// readSubIDs reads the ranges of a user: lines of NAME-OR-UID:START:COUNT. What is no such line is passed over, as newuidmap
// does. A missing file grants nothing.
func readSubIDs(path, name string, uid int) ([]SubIDs, error) {
	var mine []SubIDs
	err := eachSubID(path, func(owner string, r SubIDs) {
		if owner == name || owner == strconv.Itoa(uid) {
			mine = append(mine, r)
		}
	})
	return mine, err
}

// nextFree is the first id after all that are granted; useradd(8) begins at 100000.
func nextFree(path string) uint64 {
	next := uint64(100000)
	_ = eachSubID(path, func(_ string, r SubIDs) { next = max(next, r.Start+r.Count) }) // a file that cannot be read grants nothing
	return next
}

func eachSubID(path string, f func(owner string, r SubIDs)) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 3 || fields[0] == "" || strings.HasPrefix(fields[0], "#") {
			continue
		}
		start, startErr := strconv.ParseUint(fields[1], 10, 32)
		count, countErr := strconv.ParseUint(fields[2], 10, 32)
		if startErr != nil || countErr != nil || start == 0 || count == 0 || start+count > noID {
			continue // nobody is given root, nor the number that means no id
		}
		f(fields[0], SubIDs{start, count})
	}
	return nil
}

// nameService is where the name service looks for subordinate ids, other than in files; "" for nowhere.
func nameService(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(raw)) {
		line, _, _ = strings.Cut(line, "#")
		if sources, ok := strings.CutPrefix(strings.TrimSpace(line), "subid:"); ok {
			if sources = strings.TrimSpace(sources); sources != "files" {
				return sources
			}
		}
	}
	return ""
}

// Kinds of id, as the files of subordinate ids are called.
const (
	Users  = "subuid"
	Groups = "subgid"
)

// RangeError is an id of an image that the caller's subordinate ids do not reach.
type RangeError struct {
	What string // to which it belongs
	ID   uint32
	Span uint32 // how many ids there are, from 0 on
	Kind string // Users or Groups
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("%s: id %d is beyond your subordinate ids in /etc/%s, which reach to %d", e.What, e.ID, e.Kind, e.Span-1)
}

// Hint says how large a range must be, and how else the image runs.
func (e *RangeError) Hint() string {
	missing := uint64(e.ID) - uint64(e.Span) + 1
	start := nextFree("/etc/" + e.Kind)
	if start+missing > noID {
		return "no range reaches that far; leave out --userns subuid, or choose another user with -u"
	}
	return fmt.Sprintf("ask the administrator for: usermod --add-%ss %d-%d %s; or leave out --userns subuid", e.Kind, start, start+missing-1, Username())
}

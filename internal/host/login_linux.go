package host

import (
	"bufio"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Login is what systemd-logind does to a process when the user who started it logs out.
type Login struct {
	Session string // the session's scope that the process is in; "": in none
	Foreign bool   // the session is another user's, from which one has come by su or sudo
	Kills   bool   // that scope is killed when the session ends (KillUserProcesses= of logind.conf(5))

	Manager bool // the process belongs to the user's own service manager, user@UID.service
	Linger  bool // which goes on when the last session ends (loginctl enable-linger)
}

// Ends reports whether the end of the session, or of the last one, is the end of the process.
func (l Login) Ends() bool { return l.Session != "" && l.Kills || l.Manager && !l.Linger }

// Keeps reports whether the user's service manager goes on for as long as the process does, whoever logs out: a session with a process left
// in its scope is closing, and not over, and a user who has a session is logged in.
func (l Login) Keeps() bool { return l.Linger || l.Session != "" && !l.Foreign && !l.Kills }

// ReadLogin reads what holds for this process, of the user with this name.
func ReadLogin(user string) Login { return readLogin("/", user, strconv.Itoa(os.Getuid())) }

func readLogin(root, user, uid string) (l Login) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return Login{}
	}
	owner := uid // of the session
	for line := range strings.Lines(string(text)) {
		for unit := range strings.SplitSeq(strings.TrimSpace(line), "/") {
			if id, ok := strings.CutPrefix(unit, "user-"); ok && strings.HasSuffix(id, ".slice") {
				owner = strings.TrimSuffix(id, ".slice")
			}
			if strings.HasPrefix(unit, "session-") && strings.HasSuffix(unit, ".scope") {
				l.Session = unit
			}
			l.Manager = l.Manager || strings.HasPrefix(unit, "user@") && strings.HasSuffix(unit, ".service")
		}
	}
	l.Linger = lingers(root, user)
	if l.Session != "" {
		l.Foreign = owner != uid
		if l.Foreign {
			user = nameOf(owner)
		}
		l.Kills = killsUserProcesses(root, user)
	}
	return l
}

// nameOf is the name of a user's number, or the number where it has none.
func nameOf(uid string) string {
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return uid
}

// lingers reports whether a user's service manager runs without a session (sd_uid_get_state(3), the file that logind keeps).
func lingers(root, user string) bool {
	_, err := os.Stat(filepath.Join(root, "var/lib/systemd/linger", user))
	return err == nil && user != ""
}

// logindDirs are where logind's configuration lies, that which counts most first.
var logindDirs = []string{"etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd", "lib/systemd"}

// killsUserProcesses reads logind.conf(5): the main file, and the drop-ins in the order of their names. What is not set is as the
// main file's comments have it, which is as logind was built.
func killsUserProcesses(root, user string) bool {
	settings := map[string]string{"KillUserProcesses": "yes", "KillOnlyUsers": "", "KillExcludeUsers": "root"}
	for _, dir := range logindDirs {
		if text, err := os.ReadFile(filepath.Join(root, dir, "logind.conf")); err == nil {
			readSettings(string(text), settings, "#")
			readSettings(string(text), settings, "")
			break
		}
	}
	files := map[string]string{} // by name: the first directory that has one
	for _, dir := range slices.Backward(logindDirs) {
		paths, _ := filepath.Glob(filepath.Join(root, dir, "logind.conf.d", "*.conf")) // the pattern is a good one
		for _, path := range paths {
			files[filepath.Base(path)] = path
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if text, err := os.ReadFile(files[name]); err == nil {
			readSettings(string(text), settings, "")
		}
	}
	if only := strings.Fields(settings["KillOnlyUsers"]); len(only) > 0 && !slices.Contains(only, user) {
		return false
	}
	if slices.Contains(strings.Fields(settings["KillExcludeUsers"]), user) {
		return false
	}
	return slices.Contains([]string{"1", "yes", "y", "true", "t", "on"}, strings.ToLower(settings["KillUserProcesses"]))
}

// readSettings takes those settings from a file that are looked for, of lines that begin so.
func readSettings(text string, into map[string]string, beginning string) {
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), beginning)
		name, value, found := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if _, known := into[name]; ok && found && known {
			into[name] = strings.TrimSpace(value)
		}
	}
}

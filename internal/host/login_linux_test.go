package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLogin(t *testing.T) {
	const (
		session     = "0::/user.slice/user-1000.slice/session-7.scope\n"
		rootSession = "0::/user.slice/user-0.slice/session-9.scope\n"
		manager     = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-u3.scope\n"
		hybrid      = "12:memory:/\n1:name=systemd:/user.slice/user-1000.slice/session-c1.scope\n0::/\n"
		built       = "[Login]\n#KillUserProcesses=no\n#KillOnlyUsers=\n#KillExcludeUsers=root\n"
	)
	for _, c := range []struct {
		name  string
		user  string
		files map[string]string
		want  Login
		ends  bool
	}{
		{"a system without logind", "ada", map[string]string{"proc/self/cgroup": "0::/\n"}, Login{}, false},
		{"a session, as Debian has it", "ada", map[string]string{"proc/self/cgroup": session, "etc/systemd/logind.conf": built}, Login{Session: "session-7.scope"}, false},
		{"a session, as systemd has it", "ada", map[string]string{"proc/self/cgroup": session}, Login{Session: "session-7.scope", Kills: true}, true},
		{"that is another's, root's, by su", "ada", map[string]string{"proc/self/cgroup": rootSession}, Login{Session: "session-9.scope", Foreign: true}, false},
		{"that is root's", "root", map[string]string{"proc/self/cgroup": session}, Login{Session: "session-7.scope"}, false},
		{"of a hybrid hierarchy", "ada", map[string]string{"proc/self/cgroup": hybrid}, Login{Session: "session-c1.scope", Kills: true}, true},
		{"set in the file", "ada", map[string]string{"proc/self/cgroup": session, "etc/systemd/logind.conf": built + "KillUserProcesses=yes\n"}, Login{Session: "session-7.scope", Kills: true}, true},
		{
			"set beside it, and again", "ada",
			map[string]string{"proc/self/cgroup": session, "etc/systemd/logind.conf": built, "usr/lib/systemd/logind.conf.d/90-site.conf": "[Login]\nKillUserProcesses = no\n", "etc/systemd/logind.conf.d/20-x.conf": "KillUserProcesses=yes\n"},
			Login{Session: "session-7.scope"}, false,
		},
		{
			"covered by a file of the same name", "ada",
			map[string]string{"proc/self/cgroup": session, "etc/systemd/logind.conf": built, "usr/lib/systemd/logind.conf.d/20-x.conf": "KillUserProcesses=no\n", "etc/systemd/logind.conf.d/20-x.conf": "KillUserProcesses=yes\n"},
			Login{Session: "session-7.scope", Kills: true}, true,
		},
		{"of others alone", "ada", map[string]string{"proc/self/cgroup": session, "etc/systemd/logind.conf": "KillUserProcesses=yes\nKillOnlyUsers=bob eve\n"}, Login{Session: "session-7.scope"}, false},
		{"of the manager", "ada", map[string]string{"proc/self/cgroup": manager}, Login{Manager: true}, true},
		{"of one that lingers", "ada", map[string]string{"proc/self/cgroup": manager, "var/lib/systemd/linger/ada": ""}, Login{Manager: true, Linger: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range c.files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := readLogin(root, c.user, "1000"); got != c.want || got.Ends() != c.ends {
				t.Errorf("%+v, ends %v", got, got.Ends())
			}
		})
	}
}

// TestKeeps: what is left in a session of one's own keeps one's manager, and so does lingering; another's session keeps another's.
func TestKeeps(t *testing.T) {
	for l, want := range map[Login]bool{
		{}: false, {Linger: true}: true, {Manager: true}: false, {Session: "session-7.scope"}: true,
		{Session: "session-7.scope", Kills: true}: false, {Session: "session-7.scope", Foreign: true}: false,
	} {
		if got := l.Keeps(); got != want {
			t.Errorf("%+v keeps the manager: %v", l, got)
		}
	}
}

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/coracle-run/coracle/internal/env"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sched"
)

// env looks a variable of the caller's up.
func (p *patient) env(name string) string {
	value, _ := env.Lookup(p.Environ, name)
	return value
}

// runtimeDir is where the user's own services have their sockets: systemd's, by which limits are had, and registries' logins.
func (p *patient) runtimeDir(context.Context) []Finding {
	const variable = "XDG_RUNTIME_DIR"
	dir := p.env(variable)
	if dir == "" {
		return []Finding{note(variable+" is not set: there is no login session here, as under cron, su or a batch system", "nothing of Coracle's needs it; podman's logins for registries are kept there").
			by(You, fmt.Sprintf("export %s=/run/user/%d, if that is there; 'loginctl enable-linger' makes it last", variable, os.Getuid()))}
	}
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{note(fmt.Sprintf("%s is %s, which is not there", variable, dir), "podman's logins for registries would be kept there").by(You, "unset "+variable)}
	case err != nil:
		return []Finding{note(err.Error(), "podman's logins for registries would be kept there").by(You, "unset "+variable)}
	}
	if own, ok := st.Sys().(*syscall.Stat_t); ok && int(own.Uid) != os.Geteuid() {
		return []Finding{warning(fmt.Sprintf("%s is %s, which belongs to user %d: it was kept from before a su or sudo", variable, dir, own.Uid), "systemd is asked for limits there, and says no").
			by(You, "unset "+variable+", or log in as this user ('machinectl shell', 'su -')")}
	}
	return []Finding{ok(dir + " is there, and yours")}
}

// login tells what becomes of a detached run at the end of the session.
func (p *patient) login(context.Context) []Finding {
	user := host.Username()
	if batch := sched.Batch(p.Environ); batch != "" {
		return []Finding{ok("this is a job of " + batch + ": a detached run ends with it")}
	}
	switch l := host.ReadLogin(user); {
	case !l.Ends():
		return []Finding{ok("a detached run goes on when you log out")}
	case l.Session != "" && l.Kills:
		return []Finding{note("systemd kills what is left of a session when you log out (KillUserProcesses=yes in logind.conf)", "").
			by(You, "loginctl enable-linger, and then: systemd-run --user --scope coracle run -d ...")}
	}
	return []Finding{note("systemd ends your service manager, and what it has started, with your last session", "").by(You, "loginctl enable-linger "+user)}
}

// batch tells what a scheduler has given.
func (p *patient) batch(context.Context) []Finding {
	name := sched.Batch(p.Environ)
	if name == "" {
		return []Finding{ok("this is no batch job: the whole machine is examined")}
	}
	a := sched.Allocated(p.Environ)
	found := "this is a job of " + name
	if a.CPUs > 0 {
		found += fmt.Sprintf(", with %d CPUs for a task", a.CPUs)
	}
	if a.MemoryBytes > 0 {
		found += fmt.Sprintf(", %d MiB of memory", a.MemoryBytes>>20)
	}
	until := sched.Until(p.Environ)
	if until == nil {
		return []Finding{ok(found)}
	}
	left := time.Until(*until).Round(time.Second)
	if left <= 0 {
		return []Finding{warning(found+", whose time is over", "the scheduler ends what runs in it").by(You, "ask for more time: salloc or sbatch --time")}
	}
	return []Finding{ok(fmt.Sprintf("%s, with %s left", found, left))}
}

// filters tells whether somebody around this process keeps system calls from it.
func (p *patient) filters(context.Context) []Finding {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return []Finding{note(err.Error(), "")}
	}
	mode := ""
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "Seccomp:"); found {
			mode = strings.TrimSpace(value)
		}
	}
	switch mode {
	case "":
		return []Finding{failure("the kernel has no seccomp", "a job would be confined by namespaces alone, and none is started").by(Administrator, "a kernel with CONFIG_SECCOMP_FILTER=y")}
	case "0":
		return []Finding{ok("the kernel has filters, and none is in force around Coracle")}
	}
	return []Finding{note("a filter is in force around Coracle, as inside another container", "jobs can do no more than it allows, whatever their own profile says").
		by(You, "start that container with --security-opt seccomp=unconfined, if something here fails")}
}

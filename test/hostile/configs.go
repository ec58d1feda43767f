package hostile

import (
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/fixture"
)

// A Config is an attack by an image's configuration, or by files of the image that are read before the job starts. The image
// is a busybox with them on top, and is run.
type Config struct {
	Case
	Set    func(*ocispec.ImageConfig) // changes the configuration
	Raw    func(config string) string // changes its JSON
	Files  []fixture.Entry            // a layer on top
	Layers func() []fixture.Layer     // more of them
	Args   []string                   // of `coracle run IMAGE ARGS...`; when nil, what the image says
	Prints string                     // what the job prints, spaces around it aside, when it is not rejected
	Code   int                        // its status
	Says   string                     // what the message says, when it is rejected
}

// Configs are all attacks by configurations.
func Configs() []Config {
	return slices.Concat(processes(), users(), places(), labels())
}

func sh(script string) []string { return []string{"sh", "-c", script} }

// Attacks by what is to be executed, and with what environment.
func processes() []Config {
	return []Config{
		{
			Case: Case{"config-nothing", "neither entrypoint nor command", "image-spec, config.md", Reject},
			Set:  func(c *ocispec.ImageConfig) { c.Entrypoint, c.Cmd = nil, nil }, Says: "command",
		},
		{
			Case: Case{"config-empty-entrypoint", "an entrypoint of one empty word", "docker issue", Reject},
			Set:  func(c *ocispec.ImageConfig) { c.Entrypoint = []string{""} }, Code: 127, Says: "command not found: its name is empty",
		},
		{
			Case: Case{"config-argv-nul", "an argument with a zero byte, which would end it", "execve(2)", Reject},
			Set:  func(c *ocispec.ImageConfig) { c.Cmd = []string{"echo", "a\x00b"} }, Says: "NUL byte",
		},
		{
			Case: Case{"config-argv-1m", "an argument of a mebibyte", "execve(2), MAX_ARG_STRLEN", Reject},
			Set:  func(c *ocispec.ImageConfig) { c.Cmd = []string{"echo", strings.Repeat("x", 1<<20)} }, Code: 126, Says: "argument list too long",
		},
		{
			Case: Case{"config-env-1m", "an environment variable of a mebibyte", "execve(2), MAX_ARG_STRLEN", Reject},
			Set:  func(c *ocispec.ImageConfig) { c.Env = append(c.Env, "BIG="+strings.Repeat("x", 1<<20)) }, Args: sh("echo ran"), Code: 126, Says: "argument list too long",
		},
		{
			Case: Case{"config-env-nul", "an environment variable with a zero byte: LD_PRELOAD would follow it", "CVE-2022-29162 class; environ(7)", Reject},
			Set:  func(c *ocispec.ImageConfig) { c.Env = append(c.Env, "A=b\x00LD_PRELOAD=/evil.so") }, Args: sh("echo ran"), Says: "NUL byte",
		},
		{
			Case: Case{"config-env-odd", "variables without =, without a name, twice, and with newlines", "image-spec, config.md: VARNAME=VARVALUE", Normalise},
			Set: func(c *ocispec.ImageConfig) {
				c.Env = append(c.Env, "NOEQUALS", "=noname", "TWICE=1", "TWICE=2", "NL=a\nb", "")
			},
			Args: sh(`echo "$TWICE/$NL"`), Prints: "2/a\nb",
		},
		{
			Case: Case{"config-env-loader", "LD_PRELOAD, LD_AUDIT, GODEBUG, GLIBC_TUNABLES: for the job, and for nothing of Coracle", "CVE-2025-23266 (NVIDIAScape), CVE-2023-4911", Contain},
			Set: func(c *ocispec.ImageConfig) {
				c.Env = append(c.Env, "LD_PRELOAD=/evil.so", "LD_AUDIT=/evil.so", "GODEBUG=inittrace=1", "GLIBC_TUNABLES=glibc.malloc.mxfast=x", "GOTRACEBACK=crash")
			},
			Args: sh(`echo "$LD_PRELOAD $GODEBUG"`), Prints: "/evil.so inittrace=1",
		},
		{
			Case: Case{"config-env-path", "PATH with entries of nothing, dots and control characters", "own", Contain},
			Set:  func(c *ocispec.ImageConfig) { c.Env = []string{"PATH=::.:/proc/self/fd/7:\x1b:/bin"} }, Args: sh("echo ran"), Prints: "ran",
		},
		{
			Case: Case{"config-env-10k", "10,000 variables", "own", Accept},
			Set: func(c *ocispec.ImageConfig) {
				for i := range 10_000 {
					c.Env = append(c.Env, fmt.Sprintf("V%d=x", i))
				}
			},
			Args: sh("echo $V9999"), Prints: "x",
		},
		{
			Case: Case{"config-self-exe", "the entrypoint is /proc/self/exe: the runtime's own program", "CVE-2019-5736 (runc)", Contain},
			Set: func(c *ocispec.ImageConfig) {
				c.Entrypoint, c.Cmd = []string{"/proc/self/exe"}, []string{"sh", "-c", "echo overwritten >/proc/self/exe"}
			},
			Code: anyCode, Prints: "*",
		},
		{
			Case:  Case{"config-shebang-self-exe", "the entrypoint is a script for /proc/self/exe", "CVE-2019-5736 (runc)", Contain},
			Files: []fixture.Entry{mode(file("evil", "#!/proc/self/exe\n"), 0o755)},
			Args:  []string{"/evil"}, Code: anyCode, Prints: "*",
		},
		{
			Case:  Case{"config-entrypoint-fifo", "the entrypoint is a FIFO", "own", Reject},
			Files: []fixture.Entry{mode(fifo("evil"), 0o755)}, Args: []string{"/evil"}, Code: 126, Says: "evil",
		},
		{
			Case: Case{"config-entrypoint-controls", "the entrypoint's name has ESC, and is not there: the message names it", "CVE-2003-0063 class (terminals)", Reject},
			Args: []string{"/\x1b]0;owned\x07"}, Code: 127, Says: `\x1b]0;owned\a`,
		},
		{
			Case:   Case{"config-overwrites-itself", "the job writes to every program it can reach through /proc", "CVE-2019-5736 (runc), CVE-2024-21626", Contain},
			Args:   sh("for p in /proc/[0-9]*/exe /proc/1/exe; do echo x >$p; done 2>/dev/null; ls /proc/self/fd | grep -c '[3-9]'; ls -l /proc/1/cwd >/dev/null 2>&1; echo done"),
			Prints: "1\ndone",
		},
		{
			Case: Case{"config-stop-signal", "a stop signal of 999", "facts: StopSignal 999", Normalise},
			Set:  func(c *ocispec.ImageConfig) { c.StopSignal = "999" }, Args: sh("echo ran"), Prints: "ran",
		},
		{
			Case: Case{"config-stop-signal-name", "a stop signal SIGEVIL with ESC", "image-spec, config.md", Normalise},
			Set:  func(c *ocispec.ImageConfig) { c.StopSignal = "SIG\x1b[2J" }, Args: sh("echo ran"), Prints: "ran",
		},
		{
			Case: Case{"config-docker-fields", "docker's fields: Healthcheck, OnBuild, Shell, Hostname, Privileged, Devices, Binds: none has power", "facts: image content never selects devices, mounts, hooks", Contain},
			Raw: func(config string) string {
				return strings.Replace(config, `"config":{`, `"config":{"Healthcheck":{"Test":["CMD","evil"]},"OnBuild":["RUN evil"],"Shell":["evil"],"Hostname":"evil","Domainname":"evil","Privileged":true,"Devices":["/dev/sda"],"Binds":["/:/host"],"NetworkDisabled":true,`, 1)
			},
			Args: sh("ls -d /host /dev/sda 2>/dev/null; hostname | grep -c evil"), Code: 1, Prints: "0",
		},
		{
			Case: Case{"config-wrong-types", "an environment that is a text, not a list", "image-spec, config.md", Reject},
			Raw: func(config string) string {
				return strings.Replace(config, `"config":{`, `"config":{"Env":"A=b","X":{`, 1) + "}"
			}, Says: "not a",
		},
		{
			Case: Case{"config-null", "a configuration whose parts are null", "image-spec, config.md", Accept},
			Raw: func(config string) string {
				return strings.Replace(config, `"rootfs":`, `"config":null,"history":null,"rootfs":`, 1)
			}, Args: []string{"/bin/sh", "-c", "echo ran"}, Prints: "ran",
		},
		{
			Case: Case{"config-dates", "made in the year 9999, and a history of years that are no years", "RFC 3339", Accept},
			Raw:  func(config string) string { return replaceCreated(config, "9999-12-31T23:59:59Z") }, Args: sh("echo ran"), Prints: "ran",
		},
	}
}

// anyCode stands for whatever status the job has.
const anyCode = -1

// AnyCode is the status of a job that may end as it likes.
const AnyCode = anyCode

func replaceCreated(config, date string) string {
	before, rest, ok := strings.Cut(config, `"created":"`)
	if !ok {
		panic("hostile: the configuration has no date")
	}
	_, after, _ := strings.Cut(rest, `"`)
	return before + `"created":"` + date + `"` + after
}

// Attacks by USER, passwd and group.
func users() (all []Config) {
	for _, u := range []struct{ name, user, what string }{
		{"2-32", "4294967296", "2^32, which is root when cut to 32 bits"}, {"2-32-minus-1", "4294967295", "2^32-1, which means \"no change\" to the kernel"},
		{"minus-1", "-1", "-1"}, {"three", "0:0:0", "three parts"}, {"unknown", "nosuchuser", "a name that passwd lacks"},
		{"unknown-group", "0:nosuchgroup", "a group that the file lacks"}, {"digits", "\u0661", "an Arabic digit one"}, {"hex", "0x0", "a hexadecimal number"},
		{"spaces", " 0", "a number after a space"}, {"colon", ":", "a colon alone"}, {"controls", "\x1b[2J", "ESC"}, {"nul", "root\x00x", "a zero byte"},
		{"path", "../../etc", "a path"}, {"2-64", "18446744073709551616", "2^64"},
	} {
		all = append(all, Config{
			Case: Case{"user-" + u.name, "USER is " + u.what, "facts: USER checked; CVE-2016-3697 (docker)", Reject},
			Set:  func(c *ocispec.ImageConfig) { c.User = u.user }, Args: sh("id -u"), Says: "user",
		})
	}
	passwd := func(text string) []fixture.Entry { return []fixture.Entry{file("etc/passwd", text)} }
	app := func(c *ocispec.ImageConfig) { c.User = "app" }
	return append(all,
		Config{
			Case: Case{"passwd-fifo", "passwd and group are FIFOs: nobody may wait for them", "CVE-2024-21626 class", Reject},
			Set:  app, Files: []fixture.Entry{fifo("etc/passwd"), fifo("etc/group")}, Args: sh("id -u"), Says: "not a regular file",
		},
		Config{
			Case: Case{"passwd-link-out", "passwd is a link to ../../../../../etc/passwd: of the image, where it is itself", "CVE-2018-15664 class", Reject},
			Set:  app, Files: []fixture.Entry{symlink("etc/passwd", "../../../../../../etc/passwd")}, Args: sh("id -u"), Says: "passwd",
		},
		Config{
			Case: Case{"passwd-link-proc", "passwd is a link to /proc/self/environ", "CVE-2024-21626 class", Reject},
			Set:  app, Files: []fixture.Entry{symlink("etc/passwd", "/proc/self/environ")}, Args: sh("id -u"), Says: "user",
		},
		Config{
			Case: Case{"passwd-etc-link-out", "/etc is a link to the host's /etc", "CVE-2018-15664 class", Reject},
			Set:  app, Files: []fixture.Entry{symlink("etc", "/proc/1/root/etc")}, Args: sh("id -u"), Says: "user",
		},
		Config{
			Case: Case{"passwd-dir", "passwd is a directory", "own", Reject},
			Set:  app, Files: []fixture.Entry{dir("etc/passwd")}, Args: sh("id -u"), Says: "not a regular file",
		},
		Config{
			Case: Case{"passwd-100m", "passwd is a sparse file of 100 MB", "own", Reject},
			Set:  app, Layers: pieces(sparse1("etc/passwd", 100_000_000, "1\n0\n1\n", 'x')), Args: sh("id -u"), Says: "larger than",
		},
		Config{
			Case: Case{"passwd-line-3m", "passwd has one line of 3 MiB before the user", "own", Reject},
			Set:  app, Files: passwd(strings.Repeat("x", 3<<20) + "\napp:x:1000:1000::/:/bin/sh\n"), Args: sh("id -u"), Says: "no such user",
		},
		Config{
			Case: Case{"passwd-overflow", "app has the number 4294967296 in passwd", "CVE-2016-3697 class", Reject},
			Set:  app, Files: passwd("app:x:4294967296:0::/:/bin/sh\n"), Args: sh("id -u"), Says: "user",
		},
		Config{
			Case: Case{"passwd-negative", "app has the number -1 in passwd", "CVE-2016-3697 class", Reject},
			Set:  app, Files: passwd("app:x:-1:-1::/:/bin/sh\n"), Args: sh("id -u"), Says: "user",
		},
		Config{
			Case: Case{"passwd-numeric-name", "a user called 1000 who is root: the number is meant", "CVE-2016-3697 (docker)", Contain},
			Set:  func(c *ocispec.ImageConfig) { c.User = "1000" }, Files: passwd("1000:x:0:0::/:/bin/sh\n"), Args: sh("id -u"), Code: anyCode, Prints: "*",
		},
		Config{
			Case: Case{"passwd-garbage", "passwd is binary noise, with the user in it", "own", Accept},
			Set:  app, Files: passwd("\x00\xff:::\n::::::::\n-:-:-:-\n\napp:x:1000:1000::/:/bin/sh\n"), Args: sh("id -u"), Prints: "1000",
		},
		Config{
			Case: Case{"passwd-home", "a home of ../../../.., which becomes HOME", "own", Contain},
			Set:  app, Files: passwd("app:x:1000:1000::../../../..:/bin/sh\n"), Args: sh("echo $HOME"), Prints: "/",
		},
		Config{
			Case: Case{"passwd-home-controls", "a home with ESC and a newline", "own", Contain},
			Set:  app, Files: passwd("app:x:1000:1000::/\x1b[2J:/bin/sh\n"), Args: sh("echo ran"), Prints: "ran",
		},
		Config{
			Case: Case{"group-100k", "app is in 20,000 groups", "setgroups(2): 65536", Accept},
			Set:  app, Files: []fixture.Entry{file("etc/group", manyGroups(20_000))}, Args: sh("id -u"), Prints: "1000",
		},
	)
}

func manyGroups(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "g%d:x:%d:app\n", i, 2000+i)
	}
	return text.String() + "app:x:1000:\n"
}

// Attacks by where things are: the working directory, volumes, and what is in the place of directories that get mounts.
func places() []Config {
	workdir := func(to string) func(*ocispec.ImageConfig) {
		return func(c *ocispec.ImageConfig) { c.WorkingDir = to }
	}
	return []Config{
		{
			Case: Case{"workdir-fd", "WORKDIR is /proc/self/fd/7: a directory of the host that was left open", "CVE-2024-21626 (runc)", Reject},
			Set:  workdir("/proc/self/fd/7"), Args: sh("pwd; ls"), Says: "cannot start the container",
		},
		{
			Case: Case{"workdir-fd-all", "WORKDIR is a link to /proc/self/fd/8", "CVE-2024-21626 (runc)", Reject},
			Set:  workdir("/w"), Files: []fixture.Entry{symlink("w", "/proc/self/fd/8")}, Args: sh("pwd; ls"), Says: "cannot start the container",
		},
		{
			Case: Case{"workdir-cwd", "WORKDIR is /proc/1/cwd", "CVE-2024-21626 (runc) class", Contain},
			Set:  workdir("/proc/1/cwd"), Args: sh("ls -d etc; ls -d home/app"), Code: anyCode, Prints: "*",
		},
		{
			Case: Case{"workdir-self", "WORKDIR is /proc/self, which is that of the container's first process when it is entered", "CVE-2024-21626 (runc) class", Contain},
			Set:  workdir("/proc/self"), Args: sh("cat environ maps auxv mem fd/[3-9] 2>/dev/null | wc -c; ls root/ cwd/ 2>/dev/null | wc -l; cat exe | wc -c"), Prints: "0\n0\n0",
		},
		{
			Case: Case{"workdir-link-out", "WORKDIR is a link to ../../../../../etc: that of the image", "CVE-2018-15664 class", Contain},
			Set:  workdir("/w"), Files: []fixture.Entry{symlink("w", "../../../../../../../etc")}, Args: sh("grep -c app passwd"), Prints: "1",
		},
		{
			Case: Case{"workdir-dotdot", "WORKDIR is /../../../../tmp", "own", Contain},
			Set:  workdir("/../../../../tmp"), Args: sh("pwd"), Prints: "/tmp",
		},
		{
			Case: Case{"workdir-relative", "WORKDIR is not absolute: docker takes it from the root", "image-spec, config.md", Normalise},
			Set:  workdir("home/app"), Args: sh("pwd"), Prints: "/home/app",
		},
		{
			Case: Case{"workdir-missing", "WORKDIR is not there: it is made", "docker", Normalise},
			Set:  workdir("/a/b/c"), Args: sh("pwd"), Prints: "/a/b/c",
		},
		{
			Case: Case{"workdir-file", "WORKDIR is a file", "own", Reject},
			Set:  workdir("/etc/passwd"), Args: sh("pwd"), Says: "/etc/passwd",
		},
		{
			Case: Case{"workdir-nul", "WORKDIR has a zero byte", "own", Reject},
			Set:  workdir("/tmp\x00/x"), Args: sh("pwd"), Says: "cannot start the container",
		},
		{
			Case: Case{"workdir-controls", "WORKDIR has ESC", "own", Normalise},
			Set:  workdir("/\x1b[2J"), Args: sh("pwd | wc -c"), Prints: "6",
		},
		{
			Case: Case{"volumes", "volumes /etc, /proc, ../../.. and one with ESC in the configuration", "facts: image content never selects mounts", Contain},
			Set: func(c *ocispec.ImageConfig) {
				c.Volumes = map[string]struct{}{"/etc": {}, "/proc": {}, "../../..": {}, "\x1b[2J": {}, "": {}}
			},
			Args: sh("grep -c app /etc/passwd"), Prints: "1",
		},
		{
			Case:  Case{"mount-etc-link", "/etc/resolv.conf, hosts and hostname are links out, over which files are mounted", "CVE-2025-31133, CVE-2025-52565 (runc)", Reject},
			Files: []fixture.Entry{symlink("etc/resolv.conf", "../../../../../../tmp/victim"), symlink("etc/hosts", "/proc/self/fd/0"), symlink("etc/hostname", "/nowhere/at/all")},
			Args:  sh("echo ran"), Says: "cannot mount",
		},
		{
			Case:  Case{"mount-etc-dangling", "/etc/resolv.conf is a link to where systemd will put one, as in images made from installed systems", "systemd-resolved(8)", Accept},
			Files: []fixture.Entry{symlink("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"), symlink("etc/hosts", "hosts.real"), file("etc/hosts.real", "x")},
			Args:  sh("grep -c localhost /etc/hosts"), Prints: "1",
		},
		{
			Case:  Case{"mount-etc-fifo", "/etc/resolv.conf and hosts are FIFOs and directories", "own", Reject},
			Files: []fixture.Entry{fifo("etc/hosts"), dir("etc/resolv.conf"), symlink("etc/hostname", "hostname")},
			Args:  sh("echo ran"), Says: "cannot mount",
		},
		{
			Case:   Case{"mount-proc-link", "/proc is a link to /tmp: a fake one would take the security labels", "CVE-2019-16884, CVE-2019-19921 (runc)", Reject},
			Layers: fresh(symlink("proc", "/tmp")), Args: sh("echo ran"), Says: "proc",
		},
		{
			Case:   Case{"mount-sys-link", "/sys is a link to /proc/1/root", "CVE-2021-30465 (runc)", Reject},
			Layers: fresh(symlink("sys", "/proc/1/root")), Args: sh("echo ran"), Says: "sys",
		},
		{
			Case:   Case{"mount-dev-link", "/dev is a link to the host's", "CVE-2025-31133 (runc) class", Reject},
			Layers: fresh(symlink("dev", "../../../../../../dev")), Args: sh("echo ran"), Says: "cannot mount",
		},
		{
			Case:   Case{"mount-dev-file", "/dev and /proc are files", "own", Reject},
			Layers: fresh(file("dev", "x"), file("proc", "x")), Args: sh("echo ran"), Says: "cannot mount",
		},
		{
			Case:   Case{"mount-nothing-there", "an image of one program: no /dev, /proc, /sys, /etc, /tmp", "\"FROM scratch\"", Accept},
			Layers: func() []fixture.Layer { return nil }, Args: sh("test -d /proc/self && test -c /dev/null && echo ran"), Prints: "ran",
		},
	}
}

// fresh is one layer of entries.
func fresh(all ...fixture.Entry) func() []fixture.Layer { return entries(all...) }

// Attacks by what is only shown.
func labels() []Config {
	const evil = "\x1b]0;owned\x07\x9b2J\r\n\u202egnp\u2066"
	return []Config{
		{
			Case: Case{"label-controls", "labels, author and history with ESC, BEL, CR, C1 and bidirectional controls", "CVE-2003-0063, CVE-2021-42574", Normalise},
			Set: func(c *ocispec.ImageConfig) {
				c.Labels = map[string]string{"org.opencontainers.image.title": evil, evil: "x", "nul": "a\x00b"}
			},
			Raw: func(config string) string {
				return strings.Replace(config, `"rootfs":`, `"author":`+string(marshal(evil))+`,"history":[{"created_by":`+string(marshal(evil))+`,"comment":`+string(marshal(evil))+`}],"rootfs":`, 1)
			},
			Args: sh("echo ran"), Prints: "ran",
		},
		{
			Case: Case{"label-1m", "a label of a mebibyte, and 10,000 of them", "own", Accept},
			Set: func(c *ocispec.ImageConfig) {
				c.Labels = map[string]string{"big": strings.Repeat("x", 1<<20)}
				for i := range 10_000 {
					c.Labels[fmt.Sprint(i)] = "x"
				}
			},
			Args: sh("echo ran"), Prints: "ran",
		},
		{
			Case: Case{"ports-controls", "exposed ports of nonsense", "own", Normalise},
			Set:  func(c *ocispec.ImageConfig) { c.ExposedPorts = map[string]struct{}{evil: {}, "99999999/x": {}} },
			Args: sh("echo ran"), Prints: "ran",
		},
		{
			Case: Case{"history-many", "a history of 5,000 steps for one layer", "image-spec, config.md", Accept},
			Raw: func(config string) string {
				return strings.Replace(config, `"rootfs":`, `"history":[`+strings.Repeat(`{"created_by":"x","empty_layer":true},`, 5000)+`{"created_by":"y"}],"rootfs":`, 1)
			},
			Args: sh("echo ran"), Prints: "ran",
		},
	}
}

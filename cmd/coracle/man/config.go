package man

import (
	"fmt"
	"strings"

	"github.com/coracle-run/coracle/internal/config"
)

// ConfigName is the name of the page about configuration files, of section 5.
const ConfigName = "coracle-config"

const configText = `
What is set for good is read from the site's file, /etc/coracle/config.toml, then from the user's, config.toml in $XDG_CONFIG_HOME/coracle
or ~/.config/coracle, then from variables CORACLE_*, and then from the options of the command line. What comes later counts. The values of
a list that adds, as run.env, are those of the site and the user together.

The files are TOML. A key that there is not, or a value that is none, is an error with file and line, and no command goes on that needs
the configuration. In paths, run.volume and run.mount, $NAME stands for the caller's variable, $UID for the caller's number, and ~ at
the beginning for the home directory; $$ is a dollar.

The site's file and its directory must belong to root, and nobody else may write to them; otherwise it is refused.

The site may list keys of its file in "force". Users cannot change those by their files, their variables or options: of limits they may ask
for less, to a list they may add, and anything else is an error, or, where it is set for good, left out with a warning. All of [policy]
is forced without that; it goes by the names of images, whichever mirror serves them, the user's own too. Of more CPUs than a machine has
a job may use all. It is a guard against mistakes: Coracle has no privileges, and cannot hold a user who runs another program, or this one
on another machine, against the will of the site.
`

const configExample = `
  # /etc/coracle/config.toml
  force = ["run.memory", "store.layers"]

  [store]
  layers = ["/local/coracle-$UID", "/scratch/$USER/coracle"]

  [run]
  memory = "64g"
  env = ["HF_HUB_OFFLINE=1"]
  volume = ["/datasets:/datasets:ro"]

  [policy]
  registries = ["docker.io/library", "registry.lab.example"]
  digests_only = true

  [[registry.mirror]]
  prefix = "docker.io"
  location = "mirror.lab.example:5000/hub"
`

// Config is the page about configuration files.
func Config() string {
	var b strings.Builder
	head(&b, ConfigName, 5)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n.SH DESCRIPTION\n", roff(ConfigName), roff("what is set for good for the commands of coracle"))
	writeBlocks(&b, blocks(strings.Split(strings.Trim(configText, "\n"), "\n")))
	b.WriteString(".SH KEYS\n")
	for _, s := range config.Settings {
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fR (%s)\n%s.\n", roff(s.Key), roff(kind(s)), roff(s.About))
		for _, fact := range facts(s) {
			b.WriteString(roff(fact) + ".\n")
		}
	}
	fmt.Fprintf(&b, ".TP\n\\fBforce\\fR (%s)\n%s\n", roff("list of keys"), roff("In the site's file: what users may not change."))
	b.WriteString(".SH EXAMPLES\n")
	writeBlocks(&b, blocks(strings.Split(strings.Trim(configExample, "\n"), "\n")))
	b.WriteString(".SH FILES\n/etc/coracle/config.toml\n.br\n$XDG_CONFIG_HOME/coracle/config.toml\n.SH SEE ALSO\n.BR coracle (1) ,\n.BR coracle\\-config (1) ,\n.BR containers\\-registries.conf (5)\n")
	return b.String()
}

func kind(s config.Setting) string {
	name := map[config.Kind]string{config.Switch: "true or false", config.Size: "size, such as \"8g\"", config.Time: "time, such as \"30s\"", config.Mirrors: "tables"}[s.Kind]
	switch {
	case s.Kind == config.Word:
		name = strings.Join(s.Words, ", ")
	case name == "":
		name = string(s.Kind)
	}
	if s.List && s.Kind != config.Mirrors {
		return "list of " + name
	}
	return name
}

func facts(s config.Setting) (list []string) {
	if s.Default != "" {
		list = append(list, "Default: "+s.Default)
	}
	if s.Option != "" {
		list = append(list, "Option: "+s.Option)
	}
	if s.Variable != "" {
		list = append(list, "Variable: "+s.Variable)
	}
	switch {
	case s.Always:
		list = append(list, "What the site sets is forced")
	case s.Most:
		list = append(list, "Forced, it is the most that may be asked for")
	case s.Adds:
		list = append(list, "The user's values come beside the site's")
	}
	return list
}

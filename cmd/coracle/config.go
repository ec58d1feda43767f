package main

import (
	"cmp"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/cmd/coracle/template"
	"github.com/coracle-run/coracle/internal/config"
	"github.com/coracle-run/coracle/internal/ui"
)

const configDescription = `
What is set for good comes from /etc/coracle/config.toml, which the site has
written, then config.toml in $XDG_CONFIG_HOME/coracle or ~/.config/coracle,
which is yours, then variables CORACLE_*, and then the options of the command
line; the later counts. Without a command, and with 'ls', each value is listed
with its origin: built-in, site, user or environment. 'show' prints what is set
as a file, and 'get' one value.

Keys below [run] are options of 'coracle run', with _ for -. A list adds to the
site's where it is of env, volume, mount, ulimit, exit_code or mirrors. In paths
$NAME is your variable, $UID your number, and ~ your home directory.

A site names in 'force' what its users may not change, and all of [policy] is
forced. Of what limits a job (memory, cpus, pids_limit, shm_size, timeout) less
may still be asked for. This guards against mistakes: it cannot hold users who
run another program. The site's file must be root's, and no one else's to write.

Examples:
  coracle config
  coracle config ls --set
  coracle config get store.layers
  coracle config show > ~/.config/coracle/config.toml
  coracle config --json | jq -r '.[] | select(.forced) | .key'

Exit codes:
  0      the configuration can be used
  125    it cannot: the file, the line and the reason are told
`

func configCommand() *cli.Command {
	return &cli.Command{
		Name:        "config",
		Usage:       "Show what is set for good, and where",
		Description: configDescription,
		Flags:       configFlags(),
		Action:      configListAction,
		Subcommands: []*cli.Command{
			{
				Name: "ls", Aliases: []string{"list"}, Usage: "List all that can be set, with origins (also without 'ls')",
				Description: configDescription, Flags: configFlags(), Action: configListAction,
			},
			{
				Name: "get", Usage: "Print one value; nothing for one that is not set", ArgsUsage: "KEY",
				Description: configGetDescription, Flags: []cli.Flag{jsonFlag()}, Action: configGetAction,
			},
			{
				Name: "show", Usage: "Print what is set as a file, with origins",
				Description: configShowDescription, Flags: []cli.Flag{jsonFlag()}, Action: configShowAction,
			},
		},
	}
}

const configGetDescription = `
The values of a list are printed one on a line.

Examples:
  coracle config get run.network
  coracle config get --json policy.registries
`

const configShowDescription = `
What is printed may be a configuration file itself: what others have set is in
it, too, and what counts where several have.

Examples:
  coracle config show
  coracle config show --json | jq .run
`

func configFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "set", Usage: "List only what somebody has set"},
		&cli.StringFlag{Name: "format", Usage: "Print each by `TEMPLATE`, such as '{{.Key}} {{.Value}} {{.Origin}}'"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Print only the keys"},
		jsonFlag(),
	}
}

// settingJSON is a setting in `config --json`.
type settingJSON struct {
	Key      string      `json:"key"`
	Value    any         `json:"value"`             // null: as it is built in
	Default  string      `json:"default,omitempty"` // in words
	Origin   string      `json:"origin"`
	From     []string    `json:"from,omitempty"` // FILE:LINE or the variable, of each value of a list
	Forced   bool        `json:"forced"`
	Unused   []otherJSON `json:"not_used,omitempty"` // what was set without effect, because it is forced
	Variable string      `json:"variable,omitempty"`
	Option   string      `json:"option,omitempty"`
	About    string      `json:"about"`
}

type otherJSON struct {
	Value string `json:"value"`
	From  string `json:"from"`
}

func settingOf(v config.Value) settingJSON {
	s := settingJSON{
		Key: v.Key, Value: v.JSON(), Default: v.Default, Origin: string(v.Origin()), Forced: v.Forced, Variable: v.Variable, Option: v.Option, About: v.About,
	}
	for _, i := range v.Items {
		s.From = append(s.From, i.Where())
	}
	for _, i := range v.Overrule {
		s.Unused = append(s.Unused, otherJSON{i.Text, i.Where()})
	}
	return s
}

// configRow is what a --format template sees of a setting.
type configRow struct {
	Key, Value, Origin, From, Forced, Variable, Option, Default, About string
}

func newConfigRow(v config.Value) configRow {
	r := configRow{Key: v.Key, Value: strings.Join(v.Texts(), ", "), Origin: string(v.Origin()), Variable: v.Variable, Option: v.Option, Default: v.Default, About: v.About}
	if !v.Set() {
		r.Value = v.Default
	}
	var from []string
	for _, i := range v.Items {
		if where := i.Where(); len(from) == 0 || from[len(from)-1] != where {
			from = append(from, where)
		}
	}
	r.From = strings.Join(from, ", ")
	if v.Forced {
		r.Forced = "yes"
	}
	return r
}

func configListAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	text := c.String("format")
	format, err := template.ParseRows[configRow](commandName(c), text, ".Key .Value .Origin .From .Forced .Variable .Option .Default .About")
	if err != nil {
		return err
	}
	set, err := configuration(c)
	if err != nil {
		return failing(c, err)
	}
	p, all, rows := printer(c), []settingJSON{}, []configRow{}
	for _, v := range set.All() {
		if !c.Bool("set") || v.Set() {
			all, rows = append(all, settingOf(v)), append(rows, newConfigRow(v))
		}
	}
	switch {
	case c.Bool("json"), text == "json":
		return p.JSON(all)
	case c.Bool("quiet"):
		for _, r := range rows {
			if err := p.Line("%s", r.Key); err != nil {
				return err
			}
		}
		return nil
	case text != "" && text != "table":
		for i := range rows {
			rows[i].Value, rows[i].From = ui.Escape(rows[i].Value), ui.Escape(rows[i].From)
		}
		return format.Print(p, configRow{"KEY", "VALUE", "ORIGIN", "FROM", "FORCED", "VARIABLE", "OPTION", "DEFAULT", "ABOUT"}, rows)
	}
	t := ui.Table{Columns: []ui.Column{{Title: "KEY"}, {Title: "VALUE", Cut: ui.Back}, {Title: "ORIGIN"}, {Title: "FORCED"}, {Title: "FROM", Cut: ui.Front}}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{r.Key, r.Value, r.Origin, r.Forced, r.From})
	}
	return p.Table(t)
}

func configGetAction(c *cli.Context) error {
	if err := needArguments(c, "the name of a key", 1); err != nil {
		return err
	}
	key := c.Args().First()
	if _, ok := config.Find(key); !ok {
		e := &line.UsageError{Command: commandName(c), Problem: "there is no key " + key}
		if name := nearestKey(key, config.Keys()); name != "" {
			e.Advice = "did you mean " + name + "?"
		}
		return e
	}
	set, err := configuration(c)
	if err != nil {
		return failing(c, err)
	}
	v, p := set.Get(key), printer(c)
	if c.Bool("json") {
		return p.JSON(settingOf(v))
	}
	for _, text := range v.Texts() {
		if err := p.Line("%s", text); err != nil {
			return err
		}
	}
	return nil
}

// configShowAction prints what is set as TOML, or as an object with the same keys.
func configShowAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	set, err := configuration(c)
	if err != nil {
		return failing(c, err)
	}
	p, tree, section := printer(c), map[string]map[string]any{}, ""
	for _, v := range set.All() {
		if !v.Set() {
			continue
		}
		part, name, _ := strings.Cut(v.Key, ".")
		if c.Bool("json") {
			if tree[part] == nil {
				tree[part] = map[string]any{}
			}
			tree[part][name] = v.JSON()
			continue
		}
		r := newConfigRow(v)
		if part != section {
			space := map[bool]string{true: "\n"}[section != ""]
			if err := p.Line(space+"[%s]", part); err != nil {
				return err
			}
			section = part
		}
		forced := map[bool]string{true: ", forced"}[v.Forced]
		if err := cmp.Or(p.Line("# %s%s", r.From, forced), p.Line("%s = %s", name, v.TOML())); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return p.JSON(tree)
	}
	return nil
}

package line

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// testApp has the shapes of commands that there are.
func testApp() *cli.App {
	return &cli.App{
		Flags: []cli.Flag{&cli.StringFlag{Name: "layers"}, &cli.BoolFlag{Name: "version", Aliases: []string{"v"}}},
		Commands: []*cli.Command{
			{Name: "hidden", Hidden: true},
			{Name: "run", Flags: []cli.Flag{
				&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}}, &cli.BoolFlag{Name: "tty", Aliases: []string{"t"}},
				&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}}, &cli.StringFlag{Name: "hostname", Aliases: []string{"h"}},
			}},
			{Name: "runs", Flags: []cli.Flag{&cli.BoolFlag{Name: "json"}, &cli.IntFlag{Name: "limit", Aliases: []string{"n"}}}, Subcommands: []*cli.Command{
				{Name: "list", Aliases: []string{"ls"}}, {Name: "show", Flags: []cli.Flag{&cli.BoolFlag{Name: "json"}}},
			}},
		},
	}
}

func TestParse(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", "coracle"},
		{"-v", "coracle --version"},
		{"runs --json -n 3", "coracle runs --json --limit=3"},
		{"runs -n3", "coracle runs --limit=3"},
		{"runs ls", "coracle runs list"},
		{"runs show last --json", "coracle runs show --json -- last"},
		{"runs show -- --json", "coracle runs show -- --json"},
		{"--layers /x runs", "coracle --layers=/x runs"},
		{"runs --layers /x", "coracle --layers=/x runs"},
		{"run -it img sh", "coracle run --interactive --tty -- img sh"},
		{"run -ite A=1 img", "coracle run --interactive --tty --env=A=1 -- img"},
		{"run -eA=1 --env=B=2,3 -e=C=4 -e -x img", "coracle run --env=A=1 --env=B=2,3 --env=C=4 --env=-x -- img"},
		{"run img -it --env x -- y", "coracle run -- img -it --env x -- y"},
		{"run -i -- -odd --name", "coracle run --interactive -- -odd --name"},
		{"run --tty=false img", "coracle run --tty=false -- img"},
		{"run -h gpu07 img", "coracle run --hostname=gpu07 -- img"},
		{"run - x", "coracle run -- - x"},
	}
	for _, tt := range tests {
		got, err := Parse(testApp(), strings.Fields(tt.in), "run")
		if err != nil || strings.Join(got.Args, " ") != tt.want || got.Help {
			t.Errorf("%s: %q, %v; want %s", tt.in, got.Args, err, tt.want)
		}
	}
}

func TestParseHelp(t *testing.T) {
	for in, want := range map[string]string{
		"--help": "", "-h": "", "run --help": "run", "runs show --help": "runs show", "runs -h": "runs", "run -i --help --nonsense": "run",
	} {
		got, err := Parse(testApp(), strings.Fields(in), "run")
		var path []string
		for _, c := range got.Path {
			path = append(path, c.Name)
		}
		if err != nil || !got.Help || strings.Join(path, " ") != want {
			t.Errorf("%s: help %v for %q, %v", in, got.Help, path, err)
		}
	}
	if got, err := Parse(testApp(), []string{"run", "img", "--help"}, "run"); err != nil || got.Help {
		t.Errorf("the job's own --help: %v, %v", got, err)
	}
}

func TestParseMistakes(t *testing.T) {
	tests := []struct{ in, problem, hint string }{
		{"run --hostnam x", "run: unknown flag --hostnam", "did you mean --hostname? See 'coracle run --help'"},
		{"run --xyz", "run: unknown flag --xyz", "see 'coracle run --help'"},
		{"run -ix", "run: unknown flag -x", "see 'coracle run --help'"},
		{"run -tty", "run: unknown flag -tty", "did you mean --tty?"},
		{"run -hostname=x img", "coracle", ""},
		{"-layers x", "unknown flag -layers", "did you mean --layers? See 'coracle --help'"},
		{"run --env", "run: flag --env needs a value", "see"},
		{"run -ie", "run: flag -e needs a value", "see"},
		{"rnu", `unknown command "rnu"`, "did you mean 'coracle run'? See 'coracle --help'"},
		{"rm x", `unknown command "rm"`, "did you mean 'coracle runs rm'? See 'coracle --help'"},
		{"restart x", `unknown command "restart"`, "'coracle stop RUN', then 'coracle rerun RUN'; see 'coracle --help'"},
		{"rn img", `unknown command "rn"`, "did you mean 'coracle run'?"},
		{"hidde", `unknown command "hidde"`, "see 'coracle --help'"},
		{"runs shwo last", `runs: unknown command "shwo"`, "did you mean 'coracle runs show'?"},
		{"runs 01K0", `runs: unknown command "01K0"`, "did you mean 'coracle runs show 01K0'?"},
		{"runs last", `runs: unknown command "last"`, "did you mean 'coracle runs show last'?"},
		{"--", "coracle", ""},
	}
	for _, tt := range tests {
		_, err := Parse(testApp(), strings.Fields(tt.in), "run")
		if tt.hint == "" { // reads otherwise than meant, but as docker reads it
			if err != nil {
				t.Errorf("%s: %v", tt.in, err)
			}
			continue
		}
		usage, ok := errors.AsType[*UsageError](err)
		if !ok {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if err.Error() != tt.problem || !strings.HasPrefix(usage.Hint(), tt.hint) {
			t.Errorf("%s: %v; %s", tt.in, err, usage.Hint())
		}
	}
}

func TestNearest(t *testing.T) {
	flags := []string{"platform", "insecure", "quiet", "json", "no-trunc", "name", "network"}
	for word, want := range map[string]string{
		"plaform": "platform", "patlform": "platform", "jsno": "json", "js": "json", "no_trunc": "no-trunc", "ne": "network", "n": "", "zzz": "", "": "",
		"na": "name", "quit": "quiet", "in": "insecure",
	} {
		if got := Nearest(word, flags); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestListKeepsBytes(t *testing.T) {
	var got []string
	app := &cli.App{Commands: []*cli.Command{{
		Name:  "run",
		Flags: []cli.Flag{&List{Name: "volume", Aliases: []string{"v"}}},
		Action: func(c *cli.Context) error {
			got = Values(c, "volume")
			return nil
		},
	}}}
	l, err := Parse(app, []string{"run", "-v", "caf\xe9:/x", "--volume", "a,b", "-v="}, "run")
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Run(l.Args); err != nil || !slices.Equal(got, []string{"caf\xe9:/x", "a,b", ""}) {
		t.Errorf("%q, %v", got, err)
	}
}

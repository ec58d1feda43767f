package main

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/record"
)

// version and commit are set by the Makefile with -ldflags -X; a plain `go build` leaves them to what Go recorded.
var (
	version string
	commit  string
)

// build is what is known of this program.
type build struct {
	Version      string `json:"version"`
	Commit       string `json:"commit"`
	Go           string `json:"go"`
	OS           string `json:"os"`
	Arch         string `json:"arch"`
	Libcontainer string `json:"libcontainer"`
}

// thisBuild reads what the linker and Go have put into the program.
func thisBuild() build {
	b := build{Version: version, Commit: commit, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				b.Commit = cmp.Or(b.Commit, setting.Value)
			}
		}
		if info.Main.Version != "(devel)" {
			b.Version = cmp.Or(b.Version, info.Main.Version)
		}
		for _, dep := range info.Deps {
			if dep.Path == "github.com/opencontainers/runc" {
				b.Libcontainer = dep.Version
			}
		}
	}
	b.Version, b.Commit = cmp.Or(b.Version, "unknown"), cmp.Or(b.Commit, "unknown")
	return b
}

// recordVersion is the version as run records have it.
func recordVersion() record.Version {
	b := thisBuild()
	return record.Version{Version: b.Version, Commit: b.Commit}
}

const versionDescription = `
Examples:
  coracle version
  coracle version --json | jq -r .version
`

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:        "version",
		Usage:       "Print the version of Coracle and of what it is built from",
		Description: versionDescription,
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return printVersion(c)
		},
	}
}

func printVersion(c *cli.Context) error {
	b := thisBuild()
	p := printer(c)
	if c.Bool("json") {
		return p.JSON(b)
	}
	if c.Bool("version") {
		return p.Line("coracle %s (%s)", b.Version, b.Commit)
	}
	return p.Fields([][2]string{
		{"Version", b.Version}, {"Commit", b.Commit}, {"Go", b.Go}, {"OS/Arch", b.OS + "/" + b.Arch}, {"Libcontainer", b.Libcontainer},
	})
}

package main

import (
	_ "embed" // the scripts
	"io"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
)

// The scripts that ask 'coracle complete' what may come next.
var (
	//go:embed completion/coracle.bash
	bashScript string
	//go:embed completion/coracle.zsh
	zshScript string
	//go:embed completion/coracle.fish
	fishScript string
)

const completionDescription = `
The script that is printed completes commands, options, their values, names and
ids of runs, images and volumes. 'make install' puts it where shells look for
it; without that, once, in the file that your shell reads at its start:

  bash   source <(coracle completion bash)
  zsh    source <(coracle completion zsh)         after compinit
  fish   coracle completion fish | source

Examples:
  coracle completion bash > ~/.local/share/bash-completion/completions/coracle
  coracle completion fish > ~/.config/fish/completions/coracle.fish
`

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:        "completion",
		Usage:       "Print the script that completes command lines in a shell",
		ArgsUsage:   "bash|zsh|fish",
		Description: completionDescription,
		Action: func(c *cli.Context) error {
			if err := needArguments(c, "the name of a shell", 1); err != nil {
				return err
			}
			script, ok := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Args().First()]
			if !ok {
				return usagef("completion", "no shell %q: there are bash, zsh and fish", c.Args().First())
			}
			_, err := io.WriteString(printer(c).Raw(), script)
			return err
		},
	}
}

const completeName = "complete"

const completeDescription = `
The first line says how the candidates that follow, one on a line, are meant:
words, about (with a text behind a tab), nospace, files, dirs or none.

Examples:
  coracle complete zsh -- run --network ''
  coracle complete bash -- 'coracle run --net' '"'
`

// completeCommand says what may come next in a command line. It is not for people: the scripts of 'completion' ask it.
func completeCommand() *cli.Command {
	return &cli.Command{
		Name:        completeName,
		Usage:       "Print what may come next in a command line",
		ArgsUsage:   "SHELL -- WORD...",
		Description: completeDescription,
		Hidden:      true,
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			if len(args) < 2 {
				return usagef(completeName, "a shell and what is to be completed are missing")
			}
			words, breaks := args[1:], ""
			if args[0] == "bash" { // its own words are cut at colons and equals signs; a line is not
				words = line.Split(args[1])
				words = words[min(1, len(words)):]
				if len(args) > 2 {
					breaks = args[2]
				}
			}
			point := line.PointOf(newApp(printer(c)), words, ownArguments...)
			return completer{c: c, shell: args[0], breaks: breaks}.offer(point)
		},
	}
}

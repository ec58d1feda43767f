package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/runtime/spec"
)

// errPrivileged is the answer to --privileged.
var errPrivileged = &line.UsageError{
	Command: jobCommand,
	Problem: "--privileged is refused: Coracle has no root to give, and an ordinary user no privileges to pass on",
	Advice:  "ask for what the job needs: --cap-add, --security-opt seccomp=unconfined, -v for directories of the host",
}

// securityOptions reads what loosens the container.
func securityOptions(c *cli.Context) (spec.Security, job.Seccomp, error) {
	security := spec.Security{AddCapabilities: line.Values(c, "cap-add"), DropCapabilities: line.Values(c, "cap-drop")}
	if c.Bool("privileged") {
		return security, job.Seccomp{}, errPrivileged
	}
	if _, err := spec.Capabilities(nil, security.AddCapabilities, security.DropCapabilities); err != nil {
		return security, job.Seccomp{}, err
	}
	var profile job.Seccomp
	for _, text := range line.Values(c, "security-opt") {
		var err error
		name, value, _ := strings.Cut(text, "=")
		switch name {
		case "seccomp":
			profile, err = readProfile(value)
		case "no-new-privileges":
			security.NewPrivileges, err = newPrivileges(value)
		default:
			err = errors.New("the options are seccomp and no-new-privileges")
		}
		if err != nil {
			return security, profile, fmt.Errorf("%w: --security-opt %s: %w", spec.ErrOption, text, err)
		}
	}
	return security, profile, nil
}

// userNamespace reads who the job is to be.
func userNamespace(c *cli.Context) (job.UserNS, error) {
	mode := job.UserNS(c.String("userns"))
	if !c.IsSet("userns") {
		return "", nil // flat, unless something else that is asked for takes more
	}
	switch mode {
	case job.Flat, job.SubUID:
		return mode, nil
	case job.Root, job.HostUID:
		if c.IsSet("user") {
			return mode, usagef(jobCommand, "--user and --userns %s both say who the job is: leave one out", mode)
		}
		return mode, nil
	}
	return mode, usagef(jobCommand, "--userns is %s, %s, %s or %s, not %q", job.Flat, job.Root, job.HostUID, job.SubUID, string(mode))
}

// newPrivileges reads the value of no-new-privileges, which alone means true.
func newPrivileges(value string) (allowed bool, err error) {
	if value == "" {
		return false, nil
	}
	forbidden, err := strconv.ParseBool(value)
	if err != nil {
		return false, errors.New("it is true or false")
	}
	return !forbidden, nil
}

func readProfile(value string) (job.Seccomp, error) {
	switch value {
	case job.Unconfined:
		return job.Seccomp{Name: value}, nil
	case "", "default", "builtin":
		return job.Seccomp{}, nil
	}
	raw, err := os.ReadFile(value)
	return job.Seccomp{Name: value, Profile: raw}, err
}

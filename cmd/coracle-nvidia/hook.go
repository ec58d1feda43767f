package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-cdi-hook/commands"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/nvidia"
)

// errNoHook is returned for a hook that there is not. NVIDIA's own program passes over it, and the container lacks something.
var errNoHook = errors.New("no such hook")

// state is what a runtime tells a hook (OCI Runtime Specification, "State"). Some runtimes add the root, which saves reading the
// bundle.
type state struct {
	specs.State
	Root string `json:"root,omitempty"`
}

// hook runs one hook of a specification that this program has made: [--rootfs DIR] NAME ARGUMENTS. The state comes from standard
// input unless the root file system is named.
func hook(args []string, stdin, stderr *os.File) error {
	// A hook starts in the container's root file system, which is the image's (CVE-2025-23266).
	if err := os.Chdir("/"); err != nil {
		return err
	}
	st := state{State: specs.State{Version: specs.Version, ID: "coracle", Status: specs.StateCreating}}
	if len(args) >= 2 && args[0] == "--rootfs" {
		st.Root, args = args[1], args[2:]
	} else if err := json.NewDecoder(stdin).Decode(&st); err != nil {
		return fmt.Errorf("hook: reading the container's state: %w", err)
	}
	if len(args) == 0 {
		return fmt.Errorf("hook: %w: none is named", errNoHook)
	}
	root, err := st.root()
	if err != nil {
		return fmt.Errorf("hook %s: finding the container's root: %w", args[0], err)
	}
	st.Root = root
	if err := runHook(args, st, stderr); err != nil {
		return fmt.Errorf("hook %s: %w", args[0], err)
	}
	return nil
}

// root is the container's root file system, as a path in this mount namespace.
func (s state) root() (string, error) {
	root := s.Root
	if root == "" {
		raw, err := os.ReadFile(filepath.Join(s.Bundle, "config.json"))
		if err != nil {
			return "", err
		}
		var spec struct {
			Root specs.Root `json:"root"`
		}
		if err := json.Unmarshal(raw, &spec); err != nil {
			return "", err
		}
		root = spec.Root.Path
	}
	if !filepath.IsAbs(root) {
		root = filepath.Join(s.Bundle, root)
	}
	root = filepath.Clean(root)
	if !filepath.IsAbs(root) || root == "/" {
		return "", fmt.Errorf("%q is none", root)
	}
	return root, nil
}

func runHook(args []string, st state, stderr *os.File) error {
	switch args[0] {
	case nvidia.ForceCompatHook:
		return nvidia.ForceCompat(st.Root)
	case "update-ldcache":
		if err := nvidia.KeepMuslPath(st.Root); err != nil {
			return err
		}
	}
	command := commands.ConfigureCDIHookCommand(nvidia.Log{}, &cli.Command{
		Name: gpu.HelperName + " " + gpu.HookCommand, HideHelp: true, HideVersion: true,
		Writer: io.Discard, ErrWriter: stderr,
		// Without one, the status of a program that a hook runs ends this process with no word about which hook it was.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
	})
	if command.Command(args[0]) == nil {
		return errNoHook
	}
	restore, err := asStdin(st)
	if err != nil {
		return err
	}
	defer restore()
	return command.Run(context.Background(), append([]string{command.Name}, args...))
}

// asStdin makes the state what NVIDIA's hooks read: they know no other way to be told.
func asStdin(st state) (restore func(), err error) {
	raw, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// It fits: a pipe holds 64 kiB.
	_, err = w.Write(raw)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	before := os.Stdin
	os.Stdin = r
	return func() {
		os.Stdin = before
		_ = r.Close() // it was read
	}, nil
}

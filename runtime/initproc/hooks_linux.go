package initproc

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/runtime/container"
)

// readyHooks has each hook run by hook.c, and writes the specification where hooks look for it: config.json in the bundle, which
// for libcontainer is the workshop.
func readyHooks(s *specs.Spec) error {
	if s.Hooks == nil {
		return nil
	}
	hooks := *s.Hooks
	for _, list := range lists(&hooks) {
		wrapped := make([]specs.Hook, len(*list))
		for i, h := range *list {
			wrapped[i] = wrap(h)
		}
		*list = wrapped
	}
	s.Hooks = &hooks
	text, err := json.Marshal(s)
	if err == nil {
		err = writeFile(filepath.Join(workshop, "config.json"), text)
	}
	if err != nil {
		return fmt.Errorf("describing the container to its hooks: %w", err)
	}
	return nil
}

// lists are the hooks by the moments at which they run. A prestart hook is none of them: Coracle has no such thing.
func lists(h *specs.Hooks) []*[]specs.Hook {
	return []*[]specs.Hook{&h.CreateRuntime, &h.CreateContainer, &h.StartContainer, &h.Poststart, &h.Poststop}
}

// moments are the names of lists, by which libcontainer's errors call them.
var moments = []string{"createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

const (
	hookArg     = "coracle-hook" // HOOK_ARG of init.h
	hookSeconds = 60             // for a hook that has no limit of its own
	hookGrace   = 5              // how much later libcontainer loses its patience
)

// wrap has a hook run by this program. It never is without variables: libcontainer would give it the job's.
func wrap(h specs.Hook) specs.Hook {
	seconds := hookSeconds
	if h.Timeout != nil && *h.Timeout > 0 {
		seconds = *h.Timeout
	}
	args := h.Args
	if len(args) == 0 {
		args = []string{h.Path}
	}
	env := h.Env
	if len(env) == 0 {
		env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	}
	late := seconds + hookGrace
	return specs.Hook{
		Path: "/proc/self/exe", Args: append([]string{hookArg, strconv.Itoa(seconds), h.Path}, args...), Env: env, Timeout: &late,
	}
}

// hookFault recognises what libcontainer says of a hook that failed, and says which one it is; nil: it is about no hook.
func hookFault(err error, hooks *specs.Hooks) error {
	const begins = "error running "
	text := err.Error()
	at := strings.Index(text, begins)
	if at < 0 || hooks == nil {
		return nil
	}
	var moment string
	var number int
	rest := text[at+len(begins):]
	if n, _ := fmt.Sscanf(rest, "%s hook #%d:", &moment, &number); n < 2 {
		return nil
	}
	_, why, _ := strings.Cut(rest, fmt.Sprintf("#%d: ", number))
	for i, list := range lists(hooks) {
		if moments[i] == moment && number < len(*list) {
			return fault{container.FaultHook, fmt.Errorf("%s (%s): %s", hookName((*list)[number]), moment, hookWords(why))}
		}
	}
	return nil
}

// hookName is a hook's program and what it is to do, without the options.
func hookName(h specs.Hook) string {
	words := []string{h.Path}
	for _, arg := range h.Args[min(1, len(h.Args)):] {
		if strings.HasPrefix(arg, "-") {
			break
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// hookWords is how a hook ended and what it said, in one line of moderate length.
func hookWords(text string) string {
	const most = 600
	text = strings.Replace(text, ", stdout: ", ": ", 1)
	text = strings.Replace(text, ", stderr: ", " ", 1)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strings.TrimSuffix(text, ":")
}

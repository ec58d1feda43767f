package job

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/runtime/spec"
)

// Restart says when a job that has ended is started again. The zero value is never.
type Restart struct {
	Failed bool // when it has failed
	Always bool // whatever its status was
	Most   int  // how often; 0: any number of times
	Text   string
}

// ParseRestart reads docker's words: no, on-failure, on-failure:N, always, unless-stopped.
func ParseRestart(text string) (Restart, error) {
	name, number, limited := strings.Cut(text, ":")
	r := Restart{Text: text}
	switch name {
	case "", "no":
		r.Text = ""
	case "on-failure":
		r.Failed = true
	case "always", "unless-stopped":
		r.Failed, r.Always = true, true
	default:
		return Restart{}, fmt.Errorf("%w: --restart is no, on-failure, on-failure:N, always or unless-stopped, not %q", spec.ErrOption, text)
	}
	if !limited {
		return r, nil
	}
	most, err := strconv.ParseUint(number, 10, 31)
	switch {
	case name != "on-failure":
		return Restart{}, fmt.Errorf("%w: --restart %q: a number of times goes with on-failure alone: on-failure:3", spec.ErrOption, text)
	case err != nil:
		return Restart{}, fmt.Errorf("%w: --restart %q: %q is no number of times: write on-failure:3", spec.ErrOption, text, number)
	}
	r.Most = int(most)
	return r, nil
}

// again reports whether a job is started once more that has been started again so often already, and ended with a status.
func (r Restart) again(restarts, status int) bool {
	if r.Most > 0 && restarts >= r.Most {
		return false
	}
	return r.Always || r.Failed && status != 0
}

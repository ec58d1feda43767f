package doctor

import "slices"

// State is how a thing is, by what it means for runs.
type State string

// The states, from good to bad.
const (
	OK      State = "ok"
	Note    State = "note"    // runs work; something that some of them ask for is not to be had
	Warning State = "warning" // runs work, worse than they could
	Failure State = "failure" // runs fail
)

var order = []State{OK, Note, Warning, Failure}

// worse is the worse of two states.
func worse(a, b State) State {
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

// Doer says who can mend something.
type Doer string

// The doers.
const (
	You           Doer = "you"
	Administrator Doer = "administrator"
)

// Finding is what one check has found.
type Finding struct {
	Check string `json:"check"`
	State State  `json:"state"`
	Found string `json:"found"`         // how it is here
	Why   string `json:"why,omitempty"` // what that means for runs
	Fix   string `json:"fix,omitempty"` // a command, or a file and what is to be in it
	Who   Doer   `json:"who,omitempty"` // of Fix
}

// ok, note, warning and failure are findings of a check, whose name and meaning Examine fills in.
func ok(found string) Finding           { return Finding{State: OK, Found: found} }
func note(found, why string) Finding    { return Finding{State: Note, Found: found, Why: why} }
func warning(found, why string) Finding { return Finding{State: Warning, Found: found, Why: why} }
func failure(found, why string) Finding { return Finding{State: Failure, Found: found, Why: why} }
func (f Finding) by(who Doer, fix string) Finding {
	f.Who, f.Fix = who, fix
	return f
}

// first is the step after a finding that only another check's can explain.
func first(check string) string { return "mend what is said of " + check + ", and ask again" }

// again is the step where nothing better is known: what was asked is what every machine answers.
const again = "ask again; if this stays, tell Coracle's authors, with what 'coracle doctor --json' says"

// Report is what was found of a node, and of an image on it.
type Report struct {
	Node   string    `json:"node"`
	Image  string    `json:"image,omitempty"`
	Worst  State     `json:"worst"`
	Checks []Finding `json:"checks"`
}

// Count is how many findings have a state.
func (r Report) Count(s State) (n int) {
	for _, f := range r.Checks {
		if f.State == s {
			n++
		}
	}
	return n
}

package hostile

import (
	"time"

	"github.com/coracle-run/coracle/test/fixture"
)

// Outcome is what has to become of an attack.
type Outcome string

// The outcomes. Whatever it is, nothing outside of the store changes, and of what the store held before nothing does.
const (
	Reject    Outcome = "reject"    // the command fails with status 125 and says why; the image is not there
	Contain   Outcome = "contain"   // it is done, inside of the image's own root
	Normalise Outcome = "normalise" // it is done without what is dangerous or impossible in it
	Accept    Outcome = "accept"    // it looks odd and is legal: refusing it would refuse real images
)

// Case is what the table says of one attack.
type Case struct {
	Name    string
	What    string // one line
	Source  string // a CVE, a section of a specification, or who else was hit by it
	Outcome Outcome
}

// Budget is what one command may take; zero means the default.
type Budget struct {
	CPU    time.Duration // user and system time of the process; 10 s
	Memory int64         // peak resident bytes; 150 MiB
}

// OrDefault fills in what is not said.
func (b Budget) OrDefault() Budget {
	if b.CPU == 0 {
		b.CPU = 10 * time.Second
	}
	if b.Memory == 0 {
		b.Memory = 150 << 20
	}
	return b
}

// Tree says what an image's merged tree holds at some paths, in the words of [Describe]; "absent" for what must not be there.
type Tree map[string]string

// A Layer is an attack by what layers hold.
type Layer struct {
	Case
	Layers func() []fixture.Layer // the lowest first
	Tree   Tree                   // what overlayfs then shows, when it is not rejected
	Says   string                 // what the message says, when it is
	Room   int64                  // the most bytes of disk the tree may take; 0: it is of no matter
	Budget Budget
}

// entries are the layers of an attack that archive/tar can write: one layer.
func entries(all ...fixture.Entry) func() []fixture.Layer {
	return func() []fixture.Layer { return []fixture.Layer{fixture.NewLayer(fixture.Gzip, all...)} }
}

// pieces are the one layer of an attack by the bytes of an archive; its end of two blocks of zeros is added.
func pieces(parts ...[]byte) func() []fixture.Layer {
	return func() []fixture.Layer { return []fixture.Layer{fixture.LayerOf(fixture.Gzip, stream(parts...))} }
}

// stack is several layers, the lowest first.
func stack(each ...func() []fixture.Layer) func() []fixture.Layer {
	return func() (all []fixture.Layer) {
		for _, layers := range each {
			all = append(all, layers()...)
		}
		return all
	}
}

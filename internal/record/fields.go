package record

import (
	"slices"
	"strings"

	"github.com/coracle-run/coracle/internal/record/index"
	"github.com/coracle-run/coracle/internal/record/pack"
)

// briefForm names what follows: it changes with what pack means.
const briefForm = "runs 3"

// briefFields are what a brief view has; of those that are objects, these members alone.
var briefFields = []string{
	"id", "state", "paused", "name", "project", "image.ref", "image.digest", "signal", "cause", "host.hostname", "argv", "labels", "created", "started",
	"finished", "wall_seconds", "exit_code", "private.ports", "restarting.exit_code", "restarting.finished", "dir",
}

// isBrief reports whether a brief view has a field.
func isBrief(name string) bool {
	return slices.Contains(briefFields, name) || strings.HasPrefix(name, "labels.") || strings.HasPrefix(name, "private.ports.")
}

// pack writes or reads briefFields, but for what a directory's name says.
func (v *View) pack(c *pack.Codec) {
	for _, text := range [...]*string{
		&v.Name, (*string)(&v.State), &v.Project, &v.Image.Ref, &v.Image.Digest, &v.Signal, (*string)(&v.Cause), &v.Host.Hostname,
	} {
		c.Text(text)
	}
	c.Bool(&v.Paused)
	pack.List(c, &v.Argv, c.Text)
	c.Map(&v.Labels)
	c.Time(&v.Created)
	pack.Maybe(c, &v.Started, c.Time)
	pack.Maybe(c, &v.Finished, c.Time)
	pack.Maybe(c, &v.Wall, c.Float)
	pack.Maybe(c, &v.ExitCode, c.Int)
	pack.Maybe(c, &v.Restarting, func(ended *Attempt) {
		c.Int(&ended.ExitCode)
		c.Time(&ended.Finished)
	})
	pack.Maybe(c, &v.Private, func(p *Private) {
		pack.List(c, &p.Ports, func(port *Port) {
			c.Text(&port.HostIP)
			c.Uint16(&port.Host)
			c.Uint16(&port.Inside)
			c.Text(&port.Protocol)
		})
	})
}

// packed is what an index keeps of a record.
func packed(v *View) string {
	c := &pack.Codec{}
	v.pack(c)
	return string(c.Bytes())
}

// unpack makes a brief view of a packed one. What it held is used again. false: it is none.
func (v *View) unpack(text string) bool {
	c := pack.Reader(text)
	v.pack(c)
	return c.Whole()
}

// isNamed reports whether a packed record has a name, which is the first of its fields, or may have: it is for the record to say.
func isNamed(e index.Entry, name string) bool {
	var has string
	c := pack.Reader(e.Text)
	c.Text(&has)
	return has == name || c.Failed()
}

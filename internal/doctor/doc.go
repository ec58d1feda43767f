// Package doctor examines a node for what runs need of it, and an image for what it needs of the node.
//
// A check is an attempt wherever one can be made: it starts a real container, by the code that starts those of jobs, in a directory
// of the place where layers are kept; it writes, maps and connects as a run does. So what it says is what a run meets, and what it
// says of a failure is the run's own error. Nothing of an attempt stays.
//
// Checks go side by side, each with a deadline: a file system, a driver or a registry that does not answer is a finding, too.
package doctor

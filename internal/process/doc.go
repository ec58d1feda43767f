// Package process lists the processes below another one, as ps(1) sees them: from outside of their pid namespaces, with the numbers that
// they have here, by what /proc says. It is read once, so that processes that begin or end meanwhile may be missing.
package process

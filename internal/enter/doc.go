// Package enter runs a command in the container of a running job, as the caller's side of `coracle exec`: it asks the job's
// supervisor for it (job.OpExec) and joins the caller's streams, terminal and signals to it until it ends.
package enter

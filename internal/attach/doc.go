// Package attach is a command's side of a job's streams: it shows what the job prints and has it read what is typed, until the job
// ends or the caller leaves. The supervisor's side is in internal/job.
package attach

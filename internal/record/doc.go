// Package record keeps the record of each run: what ran, on what, what it used and why it ended.
//
// A run is one directory, runs/<ulid>, of plain files that cat and jq can read:
//
//	run.json      what was asked for and what it resolved to; written once, before the job starts
//	events.jsonl  what happened and when, one JSON object a line, appended
//	output.log    what the job printed: the first 10 MiB and the last 90 MiB, see [Log]
//	output.times  when it was printed
//	result.json   how it ended; written once, at the end
//
// README.md beside this file documents every field. A record has one writer, the run's supervisor, and any number of
// readers at any time. Readers need no lock: the directory with its run.json, and later result.json, appear whole, by
// rename, and the two appended files are read up to their last whole line.
//
// Beside the records lies an index of those that have ended, which lists and look-ups make and may lose: see [Runs.Brief]. No run reads
// or writes it.
//
// A record without result.json belongs to a run that is going on, or to one whose supervisor is gone; run.json says which
// process that is, so whoever reads the record next can tell (see [host.Owner]) and closes it as lost.
//
// Secrets do not reach the disk: [Runs.Create] redacts values by the names they go by, and the same values wherever else
// they appear. What was taken out is listed, so that nothing is missing silently.
package record

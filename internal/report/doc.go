// Package report tells of runs from their records alone: as a page of text, as a self-contained HTML page, and as the
// difference of two.
//
// It reads what [record.Runs] gives and the series beside it, and prints nothing: the callers do. Everything in a record but its
// structure was chosen by a job, an image or a host, and is hostile until a printer has escaped it.
package report

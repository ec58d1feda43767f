// Package ui is the only package that prints: results to standard output, everything else to standard error, as tables,
// JSON, lines or progress bars.
//
// Text that comes from an image, a registry or a job is hostile until it is escaped: it may hold control sequences that
// move the cursor, set the window's title or answer as if typed. All text goes through [Escape], which tables, JSON and
// error lines do by themselves, so that there is one place to get it right.
//
// A terminal is written to with care for its width and for NO_COLOR (https://no-color.org); where there is none, in a pipe or a
// batch job's log, output is plain lines that do not depend on either.
package ui

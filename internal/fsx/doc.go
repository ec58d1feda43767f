// Package fsx writes and removes files so that nobody ever sees half of one: whole-file writes by rename, names of
// temporary things that say who owns them, removal that stays inside the tree, locks that are only hints, and one seam
// where tests inject faults.
package fsx

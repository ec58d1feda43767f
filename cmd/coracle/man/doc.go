// Package man makes the man pages and the command reference out of what the commands say of themselves: their usage, their description
// with its sections, and their options. The results lie beside it; 'go generate ./cmd/coracle' makes them anew, and nothing of this is
// in the program.
package man

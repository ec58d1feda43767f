// Package network runs jobs with networks of their own, with the real binary and the helpers that this machine has, on an island: a
// network namespace with addresses of all kinds and no way out. What is to be reached, and what is not, listens there.
package network

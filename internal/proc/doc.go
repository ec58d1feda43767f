// Package proc reads what the kernel tells of processes in /proc: /proc/PID/stat, /proc/PID/status, who is there and who comes of whom.
//
// What a process calls itself is its own choice. In stat the name stands in parentheses and may have some itself, spaces and what looks
// like further fields or lines, so that fields count from the last parenthesis. In status it stands on a line of its own, and the kernel
// writes a backslash and an n for a line's end in it.
package proc

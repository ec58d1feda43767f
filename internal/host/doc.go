// Package host reads what this machine offers and who is asking: the owner of a piece of state, the kernel, memory, user
// namespaces and why they may be refused. It only reads; nothing here changes the host.
package host

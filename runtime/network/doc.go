// Package network gives a container a network of its own: a network namespace with a loopback device, and where it is to reach
// the world and be reached, a user-mode stack in front of it. Coracle has no such stack; it runs pasta, or slirp4netns where that
// is missing, as found on the host.
//
// The supervisor reads what is asked for ([ParseMode], [ParsePorts]), looks whether the host can give it ([Reserve], [Plan]), and
// sends a [Config] to the keeper. There the namespace is made ([NewNamespace]) and joined to the world ([Connect]). Helper
// programs run among the keeper's processes: in the host's network namespace, with the keeper's rights over the container's. The
// kernel ends them when the keeper ends, and so when the supervisor or the job does.
package network

// Package gpus lists the GPUs of this machine: what they are, what they do at this moment, and who uses them. NVIDIA's are asked for
// through the helper, all others are found in /sys.
package gpus

// Package nvidia is the helper's half of the lines that [gpu] describes: it alone knows NVIDIA's libraries.
//
// The management library (NVML) of the driver that is installed is loaded at run time, once for a process, and asked for the GPUs and
// for what they do. What a container needs of the driver comes from NVIDIA's own generator of CDI specifications, in this process, and
// is brought into a form that an ordinary user can apply: without groups, without devices to be made, and with hooks that are this
// program and nothing else.
//
// Where two ways lead to a number, that of the older driver is the way back: a function that a driver's library lacks is never
// called, because that would end the process.
package nvidia

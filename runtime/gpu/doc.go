// Package gpu finds the GPUs of this machine, chooses those that a job gets, and says what has to change in a container's
// specification for it to use them. It knows no driver itself.
//
// NVIDIA's driver is asked by a helper, the program coracle-nvidia: its library is loaded at run time, which a static program
// cannot do, and may hang, which nothing that supervises a job may do. A [Request] is one line of JSON on the helper's standard
// input, and for each there is one [Reply] on its standard output, in the same order. A helper serves as many requests as it is
// asked, so that the driver is loaded once for a run: list, spec, and then a sample from time to time. It ends with its input.
// Whoever asks sets a deadline, and kills a helper that has not answered by then.
//
// What a container needs is said in the words of the Container Device Interface (CDI): made afresh for each run from the driver
// that is there, so that it cannot be stale, or read from the specifications that a vendor has installed.
package gpu

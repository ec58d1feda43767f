// Package job runs one job end to end: it gets the image, prepares the container, supervises it, and leaves the record.
//
// It is the only place that knows both the image side (oci) and the container side (runtime).
package job

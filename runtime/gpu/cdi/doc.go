// Package cdi reads specifications of the Container Device Interface (tags.cncf.io/container-device-interface) and says what they
// change in a container, as an ordinary user can have it:
//
//   - device nodes become binds of the host's, for nobody can make one in a user namespace;
//   - mounts lose id maps, which the kernel refuses, and never let a file act as set-user-ID program or as device;
//   - additional groups are left out: a process keeps those that its caller has, and cannot take others;
//   - hooks, which are programs that run before the job with power over the container, are taken from root alone, or from the
//     runtime's own helper. They have an environment of their own and a limit in time.
package cdi

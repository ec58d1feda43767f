// Package torture does to a store what no user should have to: it stops what changes a store at each step in turn, in every
// way a machine can stop it, and lets commands that get in each other's way run beside each other for minutes.
//
// # Steps and faults
//
// All code that changes a store announces each change (fsx.Step). A process of this test does one operation (a pull, a
// removal, ...) and meets one fault at one step: the step fails as on a full disk, a broken one, a read-only one, without
// descriptors, and so do, in some, all later steps; or the process is killed. Afterwards another process must find
//
//   - that every kept blob hashes to its name, and every layer that can be used holds exactly what it should,
//   - that a reference means a whole image or none,
//   - that the operation succeeds when it is simply done again,
//   - and that prune leaves what it leaves after an operation that nothing has disturbed: no file more.
//
// # Beside each other
//
// Real processes pull, run, remove and prune the same images in loops. Each may find what another has done (an image is not
// there any more, or is in use); none may fail because another is at work.
//
// Without more ado the tests take a sample in seconds. CORACLE_TEST_TORTURE=5m (make torture) is how long the loops run, and
// asks for every step.
package torture

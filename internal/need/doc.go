// Package need says what a test needs from the machine, and what happens where it is missing.
//
// A test names its needs in its first lines:
//
//	need.UserNS(t)
//	need.Overlay(t)
//	skopeo := need.Tool(t, "skopeo")
//
// A missing ability skips the test by name, never silently: the skip says which ability and why, and a line is appended to
// the file $TEST_SKIPS when that is set, so that a whole run can print its skips in one list. A machine that promises an
// ability declares it, TEST_REQUIRE=userns,overlay,skopeo (or "all"), and there the same absence fails the test.
//
// Coracle is for ordinary users, but a build machine often runs its tests as root. [Unprivileged] closes that gap: called
// from TestMain it runs the whole test binary again as an unprivileged user without subordinate ids.
//
// Only tests import this package.
package need

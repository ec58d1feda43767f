// Package script runs the command line of the real binary through scripts: testdata/*.txtar, in the language of
// github.com/rogpeppe/go-internal/testscript. Each script has its own store, home directory and loopback registry, and runs
// as an ordinary user without subordinate ids.
//
// Besides testscript's own commands there are
//
//	push NAME IMAGE         puts one of the images of images_test.go into the registry as NAME, at $REG
//	registry MODE           makes the registry misbehave: down, deny, basic, token, limit, quota, used-up, corrupt, truncate, html, stall, missing-layer;
//	                        or ok again
//	status N COMMAND...     runs a command that must exit with status N; stdout and stderr can be looked at afterwards
//	lines N FILE            there are N lines in it
//	oneline FILE            it is one line of error and at most one of hint
//	json FILE PATH VALUE    it is JSON, and what PATH (0.Config.Env.1) finds in it is VALUE, a Go regular expression;
//	                        "len" at the end counts; VALUE may be missing to see only that PATH is there
//	printable FILE          it has no control characters but line ends
//	signal SIGNAL           sends INT, TERM or KILL to the last background command
//
// FILE may be stdout or stderr. $REG is the registry's address, $CORACLE_ROOT the store.
package script

// Package readme runs every command of README.md, so that what a newcomer types works, and shows what the README shows.
//
// The README keeps to two kinds of fenced blocks for commands:
//
//   - "```sh" holds how to build and install, one command a line. These commands are checked against a list, which says what
//     runs each of them: the tests themselves start from a built binary.
//   - "```console" holds a session. A line that begins with "$ " is a command, lines that begin with "> " continue it, and
//     other lines are what it prints. All blocks of the README are one session: one bash, one empty home directory, one
//     store, an ordinary user, in the order of the text. A command has to succeed; one that should fail says so in bash's
//     words: `coracle run busybox false || echo "status $?"`.
//
// What a command prints is compared with the README line by line, as far as the README shows it: numbers with their units,
// digests and ids count only as such, runs of spaces as one; a line "..." stands for any lines, and "…" within a line for
// any text. A command without output in the README may print what it likes. In the README the user is "ada", with the home
// /home/ada, on the machine "node1"; the session starts there.
//
// Images are pulled by their real names from a registry that stands in for those of the internet; images_test.go lists
// what it has.
package readme

// Package line reads command lines as docker's users write them, and writes help pages, for an application of urfave/cli.
//
// The flag package under urfave/cli stops at the first argument and knows no joined short flags. Here flags may stand after
// arguments (except after the image of `run`, where all belongs to the job), short flags may be joined and have their value
// attached (-it, -eA=1), and global flags may follow the command. Since the whole line is known when a mistake is found, its
// message can name the command, the flag and what was probably meant.
package line

// Package config knows everything that can be set for good, and where it has been set: built in, by the site in [SiteFile], by the user
// in config.toml of the directory of configuration, or by a variable CORACLE_*; each counts more than the one before it, and options of
// the command line, which are the commands' own affair, count most. [Settings] is the one table of what there is.
//
// A site may forbid its users to change what it sets: by naming keys in "force", and by all of [policy]. That guards against mistakes. It
// cannot hold a user who does not want it: Coracle has no privileges, and who has an account can run another program in its place.
//
// Where there are no files, loading costs two looks that find none, and the variables.
package config

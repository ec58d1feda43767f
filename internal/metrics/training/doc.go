// Package training reads what a job says of its training: losses, accuracies, whatever it calls them.
//
// A [Source] is one place where a job says it: a file of JSON lines ([File]), or what it prints ([Output]), in JSON lines, in the
// dictionaries that Hugging Face's trainer prints, or by rules of the user's ([Rule]). A [Collector] gathers the points of all
// sources, passes them on as lines of JSON, and keeps of each metric its first, last, least and greatest value.
//
// What a job says is not to be trusted. Whatever is in a file or on standard output, reading it takes bounded memory and time, and
// what is not taken is counted by its reason, see [Dropped].
package training
